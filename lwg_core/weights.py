"""Generator files: reading, checking and saving checkpoints.

Files come from outside: only safetensors and plain tensors in a .pth are read, never code, and keys
and shapes are checked against the architecture before a network is allocated.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import InputError
from .files import atomic_path
from .networks.generator import AttLWBGenerator, GeneratorConfig
from .networks.strict import check_finite, check_fits

DEFAULT_GENERATOR = Path(__file__).parent / "assets" / "generator.safetensors"
# What torch.load raises on damaged files, beside OSError (from the zip and the pickle readers).
DAMAGED = (
    RuntimeError,
    ValueError,
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    AttributeError,
    AssertionError,
    TypeError,
    struct.error,
    OverflowError,
    MemoryError,
)


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a .safetensors or .pth file, on the CPU as stored, and its metadata.

    A wrapper {"model": ...} or {"state_dict": ...} and DataParallel's prefix "module." go away.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .safetensors or .pth file")
    metadata: dict[str, str] = {}
    kind = checkpoint_kind(path)
    try:
        if kind == "safetensors":
            with safe_open(path, framework="pt") as file:
                # Copies: a tensor that maps the file would keep it from being replaced.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
                metadata = dict(file.metadata() or {})
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, *DAMAGED) as error:
        raise InputError(
            f"{path} cannot be read as weights: it is damaged, incomplete or holds more than "
            "tensors; copy or download it again"
        ) from error
    return unwrap(tensors, path), metadata


def checkpoint_kind(path: Path) -> str:
    """Whose format the first bytes are, "safetensors" or "torch"; InputError for any other."""
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if start[8:] == b"{":  # after the header's length
        return "safetensors"
    if start.startswith((b"PK\3\4", b"\x80")):  # a zip archive, or a bare pickle
        return "torch"
    raise InputError(
        f"{path} is no checkpoint, or nothing of one is left; give a whole .safetensors or .pth "
        "file of weights"
    )


def unwrap(tensors, path: Path) -> dict[str, Tensor]:
    for wrapper in ("model", "state_dict"):
        if isinstance(tensors, Mapping) and isinstance(tensors.get(wrapper), Mapping):
            tensors = tensors[wrapper]
    if not isinstance(tensors, Mapping) or not tensors:
        raise InputError(f"{path} holds no state dict; expected named tensors")
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or not is_stored(value):
            raise InputError(f"{path}: entry {key!r} is not a plain tensor; expected a state dict")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def is_stored(value: Tensor) -> bool:
    """Whether the file held every element: not a sparse, meta or broadcast tensor of any size."""
    plain = value.layout is torch.strided and value.device.type == "cpu"
    return plain and value.untyped_storage().nbytes() >= value.numel() * value.element_size()


def load_generator(path: str | Path = "default", operations=torch.nn) -> AttLWBGenerator:
    """The generator of a file, or the shipped one, in eval mode, float32 on the CPU.

    operations: where its layers come from; nodes pass a ``comfy.ops`` namespace.
    """
    if path == "default":
        path = DEFAULT_GENERATOR
        if not path.is_file():
            raise InputError(
                f"the built-in generator is missing ({path}); reinstall or give a file"
            )
    state_dict, metadata = read_state_dict(path)
    return build_generator(state_dict, metadata, str(path), operations)


def build_generator(
    state_dict: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    name: str,
    operations=torch.nn,
) -> AttLWBGenerator:
    """name: of the file, for the errors. The tensors become the parameters, so hand them over."""
    config = GeneratorConfig.from_state_dict(state_dict, metadata, name)
    with torch.device("meta"):
        model = AttLWBGenerator(config, operations)
    what = f"a generator with the strategy {config.strategy!r}"
    check_fits(state_dict, model.state_dict(), name, what)
    weights = {key: value.detach().to(torch.float32) for key, value in state_dict.items()}
    check_finite(weights, name)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def save_generator(
    path: str | Path,
    model: AttLWBGenerator,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Writes a .safetensors file that ``load_generator`` reads; a failure leaves nothing behind.

    metadata: more text to store; the generator's config is always stored.
    """
    tensors = {
        key: value.detach().to(device="cpu", dtype=dtype).contiguous()
        for key, value in model.state_dict().items()
    }
    check_finite(tensors, str(path))
    data = save(tensors, {**(metadata or {}), **model.config.metadata()})
    with atomic_path(path) as part:
        part.write_bytes(data)


def weights_hash(source: Mapping[str, Tensor] | str | Path) -> str:
    """sha256 over the names, types, shapes and values of a state dict or file, in key order."""
    if not isinstance(source, Mapping):
        source, _ = read_state_dict(source)
    digest = hashlib.sha256()
    for key in sorted(source):
        value = source[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
