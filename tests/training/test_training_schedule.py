"""The learning-rate schedule: warm-up, plateau, cosine to the final rate."""

import pytest

from lwg_core.training.trainer import Schedule


def test_schedule_shape():
    schedule = Schedule(steps=1000, minutes=60, rate=1e-3, final_rate=1e-5, warmup=50, decay=0.5)
    assert schedule.at(0, 0.0) == pytest.approx(1e-3 / 50)
    assert schedule.at(400, 0.4) == pytest.approx(1e-3)
    assert schedule.at(750, 0.75) == pytest.approx((1e-3 + 1e-5) / 2)
    assert schedule.at(1000, 1.0) == pytest.approx(1e-5)


def test_whichever_limit_comes_first_ends_the_run():
    schedule = Schedule(steps=100, minutes=10)
    assert schedule.progress(50, 1.0) == 0.5
    assert schedule.progress(10, 9.0) == 0.9
    assert schedule.progress(500, 0.0) == 1.0
