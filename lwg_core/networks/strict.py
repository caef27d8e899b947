"""Weights into a network, by name, every one of them and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import InputError

Network = TypeVar("Network", bound=nn.Module)


def fill_strict(
    model: Network,
    state_dict: Mapping[str, Tensor],
    name: str,
    what: str,
    spare: tuple[str, ...] = (),
) -> Network:
    """Give ``model`` (on the meta device) the tensors of a file, in float32, for good.

    It comes back in eval mode and does not ask for gradients. name: of the file, and what: of the
    network, for the errors. spare: starts of keys that such files also hold and nobody needs.
    """
    expected = model.state_dict()
    check_fits(state_dict, expected, name, what, spare)
    weights = {key: state_dict[key].detach().to(torch.float32) for key in expected}
    check_finite(weights, name)
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def check_fits(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    name: str,
    what: str,
    spare: tuple[str, ...] = (),
) -> None:
    """One sentence about every difference between a file's keys and shapes and a network's."""
    misshapen = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    more = [key for key in found if key not in expected and not key.startswith(spare)]
    report = (
        (sorted(expected.keys() - found.keys()), "missing"),
        (sorted(more), "unexpected"),
        (misshapen, "of the wrong shape"),
    )
    differences = [f"{len(keys)} {how}: {listing(keys)}" for keys, how in report if keys]
    if differences:
        raise InputError(f"{name} does not fit {what} ({'; '.join(differences)})")


def check_finite(weights: Mapping[str, Tensor], name: str) -> None:
    broken = [key for key, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"{name} holds NaN or infinite weights, in {listing(broken)}")


def listing(keys: list[str], shown: int = 3) -> str:
    return ", ".join(keys[:shown]) + (", ..." if len(keys) > shown else "")
