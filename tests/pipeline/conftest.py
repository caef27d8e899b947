"""A synthetic person on disk: two small pictures with masks, keypoints and true bodies."""

from pathlib import Path

import pytest

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.flow.targets import imitate
from lwg_core.pictures import read_image, read_mask
from lwg_core.pipeline import compose, make_source, with_offsets
from lwg_core.synthetic.motions import motion
from lwg_core.synthetic.people import write_people
from lwg_core.weights import load_generator

SIZE = 64  # px a side of the flow


@pytest.fixture(scope="session")
def people(tmp_path_factory) -> list[Path]:
    """Paths of the front and the back picture; .json, .npz and _mask.png lie beside them."""
    return write_people(1, tmp_path_factory.mktemp("people"), seed=3, size=128, pictures=2)


@pytest.fixture(scope="session")
def sources(people):
    body = open_body()
    found = (
        make_source(
            read_image(path),
            load_params(path.with_suffix(".npz")),
            body,
            read_mask(path.with_name(path.stem + "_mask.png")),
        )
        for path in people
    )
    return with_offsets(tuple(found), body)


@pytest.fixture(scope="session")
def generator():
    return load_generator()


@pytest.fixture(scope="session")
def flow(sources):
    """Six frames of a dance, on one square."""
    target = imitate(sources[0].params, motion("dance", frames=6), open_body())
    return compose(sources, target, open_body(), SIZE)


@pytest.fixture(scope="session")
def others(tmp_path_factory) -> list[Path]:
    """Two more people, two pictures each: the pictures of the first, then of the second."""
    return write_people(2, tmp_path_factory.mktemp("others"), seed=5, size=128, pictures=2)
