"""A synthetic person on disk: two small pictures with masks, keypoints and true bodies."""

from pathlib import Path

import pytest

from lwg_core.synthetic.people import write_people


@pytest.fixture(scope="session")
def people(tmp_path_factory) -> list[Path]:
    """Paths of the front and the back picture; .json, .npz and _mask.png lie beside them."""
    return write_people(1, tmp_path_factory.mktemp("people"), seed=3, size=128, pictures=2)
