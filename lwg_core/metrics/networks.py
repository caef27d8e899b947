"""The user's networks, TorchScript or ONNX files: what recognises people, faces and contents.

None is shipped: their licences are their authors'. A file is loaded and tried before anything is
computed, so that one that does not fit is told at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..flow.source import resample

AT_ONCE = 16  # pictures
SIDES = (8, 2048)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RANGES = ("imagenet", "symmetric", "unit", "bytes")
Network = Callable[..., "tuple[Tensor, ...]"]


@dataclass(frozen=True)
class Loaded:
    """A network that answers a tuple of tensors. inputs: how many tensors it takes."""

    run: Network
    inputs: int
    name: str


@dataclass(frozen=True)
class InputSpec:
    """What a network wants: pictures of ``size`` (height, width), values as ``values`` says.

    imagenet: minus mean, by deviation; symmetric: [-1, 1]; unit: [0, 1]; bytes: [0, 255].
    """

    size: tuple[int, int]
    values: str

    def prepare(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, 3, *size) in the network's own values."""
        if tuple(pictures.shape[2:]) != self.size:
            pictures = torch.stack([resample(p, self.size).clamp(-1, 1) for p in pictures])
        if self.values == "symmetric":
            return pictures
        unit = (pictures + 1) / 2
        if self.values == "bytes":
            return unit * 255
        if self.values == "unit":
            return unit
        mean, deviation = (unit.new_tensor(v)[:, None, None] for v in IMAGENET)
        return (unit - mean) / deviation


BODY_INPUT = InputSpec((256, 128), "imagenet")
FACE_INPUT = InputSpec((112, 112), "symmetric")
INCEPTION_INPUT = InputSpec((299, 299), "symmetric")


def parse_input(text: str, option: str) -> InputSpec:
    """'128x256:imagenet' (width x height) as an InputSpec."""
    sides, _, values = text.partition(":")
    width, cross, height = sides.lower().partition("x")
    fits = cross and width.isdecimal() and height.isdecimal()
    if not fits or not all(SIDES[0] <= int(side) <= SIDES[1] for side in (width, height)):
        raise InputError(f"{option} {text}: use WIDTHxHEIGHT:VALUES, as 128x256:imagenet")
    if values not in RANGES:
        raise InputError(f"{option} {text}: the values are one of {', '.join(RANGES)}")
    return InputSpec((int(height), int(width)), values)


def load_network(path: str | Path, device: torch.device | str = "cpu") -> Loaded:
    """A TorchScript or ONNX file, ready to run."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a TorchScript (.pt) or ONNX file")
    return _onnx(path) if path.suffix.lower() == ".onnx" else _torchscript(path, device)


def _torchscript(path: Path, device: torch.device | str) -> Loaded:
    try:
        module = torch.jit.load(path, map_location=device).eval()
        arguments = module.forward.schema.arguments[1:]
    except (RuntimeError, ValueError, EOFError, OSError, AttributeError) as error:
        raise InputError(
            f"{path} is no TorchScript file; save the network with torch.jit.script or "
            "torch.jit.trace, or give an ONNX file (.onnx)"
        ) from error
    needed = sum(not argument.has_default_value() for argument in arguments)

    @torch.no_grad()
    def run(*pictures: Tensor) -> tuple[Tensor, ...]:
        try:
            found = module(*(p.to(device) for p in pictures))
        except (RuntimeError, torch.jit.Error) as error:
            raise InputError(f"{path} does not take {_shapes(pictures)}: {_last(error)}") from error
        found = (found,) if isinstance(found, Tensor) else found
        if not isinstance(found, (list, tuple)) or not all(isinstance(f, Tensor) for f in found):
            raise InputError(f"{path} must answer a tensor, or several")
        return tuple(f.float().cpu() for f in found)

    return Loaded(run, needed, str(path))


def _onnx(path: Path) -> Loaded:
    if find_spec("onnxruntime") is None:
        raise InputError(
            f"{path} needs onnxruntime; install it: pip install onnxruntime, or give a TorchScript "
            "file"
        )
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # Its exceptions have no common class of their own.
    told = tuple(e for e in vars(state).values() if isinstance(e, type) and e.__base__ is Exception)
    told += (RuntimeError, ValueError)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except told as error:
        raise InputError(f"{path} is no ONNX network: {_last(error)}") from error
    names = [value.name for value in session.get_inputs()]

    def one(*pictures: Tensor) -> tuple[Tensor, ...]:
        given = {n: p[None].numpy() for n, p in zip(names, pictures, strict=True)}
        try:
            return tuple(torch.from_numpy(f).float() for f in session.run(None, given))
        except told as error:
            raise InputError(f"{path} does not take {_shapes(pictures)}: {_last(error)}") from error

    def run(*pictures: Tensor) -> tuple[Tensor, ...]:
        # One picture at a time: many files have the batch size of their export built in.
        return tuple(torch.cat(f) for f in zip(*map(one, *pictures), strict=True))

    return Loaded(run, len(names), str(path))


def _shapes(pictures: tuple[Tensor, ...]) -> str:
    return " and ".join(" x ".join(map(str, p.shape)) for p in pictures)


def _last(error: Exception) -> str:
    """The last line of a long message says what it is."""
    lines = str(error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__


@dataclass(frozen=True)
class Embedder:
    """Pictures to vectors, with a network of the user's."""

    network: Loaded
    wants: InputSpec

    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, D)."""
        parts = pictures.split(AT_ONCE)
        return torch.cat([self.network.run(self.wants.prepare(p))[0].flatten(1) for p in parts])


def load_embedder(path: str | Path, wants: InputSpec, device="cpu") -> Embedder:
    """A network that takes pictures and answers one vector of each; tried on two pictures."""
    network = load_network(path, device)
    if network.inputs != 1:
        raise InputError(
            f"{path} takes {network.inputs} inputs; a network of one picture is needed"
        )
    height, width = wants.size
    trial = torch.linspace(-1, 1, 2 * 3 * height * width).reshape(2, 3, height, width)
    answer = network.run(wants.prepare(trial))[0]
    if answer.ndim < 2 or len(answer) != 2 or not torch.isfinite(answer).all():
        raise InputError(
            f"{path} must answer one vector per picture, of finite numbers; it answered "
            f"{tuple(answer.shape)} for two pictures"
        )
    return Embedder(network, wants)
