"""Regressor files: what is read, and what is recognised and refused.

Key names are looked at first, without unpickling: pickle opcodes are listed, never executed. So a
file of several gigabytes that belongs to another program is refused at once, whatever it holds.
"""

from __future__ import annotations

import io
import lzma
import pickletools
import zipfile
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ...errors import InputError
from ...networks.config import looks_like
from ...networks.strict import check_finite, check_fits
from ...weights import DAMAGED, checkpoint_kind, read_state_dict
from .network import Regressor, RegressorConfig

LOOKED_AT = 1 << 24  # bytes of names; HMR2's file has less than one
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)
PICKLES = 4  # at the start of a file in the old format: magic, protocol, system, content
WHERE_TO_GET = (
    "spin_ckpt.pth of iPERCore's checkpoints (folder pose3d), or model_checkpoint.pt of SPIN"
)

# First match wins: parts of key names that must all occur, and what the file is.
REFUSED = (
    (("smpl_head.decpose_grot.",), "a TokenHMR network"),
    (("smpl_head.deckp.",), "a CameraHMR network"),
    (("smpl_head.", "backbone.blocks."), "an HMR2 (4D-Humans) network"),
    (("keypoint_deconv_layers.",), "a PARE network"),
    (("head.decpose.", "backbone."), "a network of PARE's or BEDLAM's family"),
    (("regressor.decpose.", "gru."), "a VIBE network"),
)
WIDEST, MOST_HIDDEN, MOST_BLOCKS = 256, 8192, 64  # a file that claims more is no such network


def load_regressor(path: str | Path, operations=torch.nn) -> Regressor:
    """The SPIN (HMR) regressor of a .pt, .pth or .safetensors file, in eval mode, float32, CPU.

    A wrapper {"model": ...} and the prefix "module." go away; every one of the network's tensors
    must be there, and no other. operations: where its layers come from; nodes pass ``comfy.ops``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give {WHERE_TO_GET}")
    refuse_others(path)
    state_dict, _ = read_state_dict(path)
    try:
        config = RegressorConfig.from_state_dict(state_dict)
    except (KeyError, IndexError):
        config = RegressorConfig(0)
    if not (
        0 < config.width <= WIDEST
        and 0 < config.hidden <= MOST_HIDDEN
        and min(config.blocks) > 0
        and sum(config.blocks) <= MOST_BLOCKS
    ):
        raise InputError(
            f"{path.name} looks like {looks_like(state_dict.keys())}; expected a SPIN body "
            f"regressor: {WHERE_TO_GET}"
        )
    with torch.device("meta"):
        model = Regressor(config, operations)
    expected = model.state_dict()
    check_fits(state_dict, expected, path.name, "the SPIN regressor")
    weights = {key: value.detach().to(expected[key].dtype) for key, value in state_dict.items()}
    check_finite(weights, path.name)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def refuse_others(path: Path) -> None:
    """Raise an InputError if the file's key names are those of a regressor that is not supported.

    A file without readable names passes: what is wrong with it, its reader says.
    """
    names = key_names(path)
    for parts, kind in REFUSED:
        if all(any(part in name for name in names) for part in parts):
            raise InputError(
                f"{path.name} is {kind}, which is not supported yet: run it in its own program "
                "and import its result with Import Body or Load Motion, or load a SPIN checkpoint"
            )


def key_names(path: Path) -> list[str]:
    """The text in a file's index: state-dict keys and some more. Nothing is executed."""
    try:
        if checkpoint_kind(path) == "safetensors":
            with safe_open(path, framework="pt") as file:
                return list(file.keys())
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                member = next(n for n in archive.namelist() if n.endswith("data.pkl"))
                with archive.open(member) as file:
                    return _strings(file.read(LOOKED_AT), 1)
        with open(path, "rb") as file:
            return _strings(file.read(LOOKED_AT), PICKLES)
    except (SafetensorError, OSError, StopIteration, *BROKEN_ZIP, *DAMAGED):
        return []


def _strings(data: bytes, pickles: int) -> list[str]:
    """All text in the first pickles of ``data``, as far as they can be read."""
    found, stream = [], io.BytesIO(data)
    for _ in range(pickles):
        try:
            for _opcode, argument, _place in pickletools.genops(stream):
                if isinstance(argument, str):
                    found.append(argument)
        except DAMAGED:  # cut off, or no pickle
            break
    return found
