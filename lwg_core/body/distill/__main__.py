"""``python -m lwg_core.body.distill``: rebuild the open body."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from ..params import JOINT_PARENTS
from .body import distill
from .pack import write
from .sampling import sample_anny
from .shape_basis import BETA_NAMES


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="lwg_core.body.distill", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="open_body.safetensors")
    parser.add_argument("--samples", type=int, default=600, help="bodies to sample from Anny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vertices", type=int, default=6900, help="vertices to keep, at most")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    body = distill(sample_anny(options.samples, options.seed), options.vertices)
    metadata = {"betas": json.dumps(BETA_NAMES), "parents": json.dumps(JOINT_PARENTS)}
    write(options.output, body, metadata)


if __name__ == "__main__":
    main()
