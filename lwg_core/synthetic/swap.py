"""The truth of appearance transfer: one synthetic person in another one's clothes."""

from __future__ import annotations

from dataclasses import replace

from .appearance.albedo import Dye
from .identity import Identity
from .mannequin import Mannequin
from .render import Person, dress

_LOWER_EXTRAS = ("flared_legs",)


def swap_outfit(
    wearer: Identity, clothes: Identity, upper: bool = True, lower: bool = True, feet: bool = True
) -> Identity:
    """``wearer`` (body, skin, face, hair) in the top, the trousers or skirt, the shoes of another.

    A coat never goes over a skirt, as in ``make_identity``.
    """
    above, below = (clothes if upper else wearer), (clothes if lower else wearer)
    extras = [name for name in above.extras if name not in _LOWER_EXTRAS]
    extras += [name for name in below.extras if name in _LOWER_EXTRAS]
    if below.bottom.kind == "skirt" and "coat" in extras:
        extras.remove("coat")
    return replace(
        wearer,
        top=above.top,
        bottom=below.bottom,
        shoes=(clothes if feet else wearer).shoes,
        extras=tuple(extras),
    )


def dress_in(
    wearer: Identity,
    clothes: Identity,
    figure: Mannequin,
    upper: bool = True,
    lower: bool = True,
    feet: bool = True,
) -> Person:
    """``wearer`` dressed in what ``swap_outfit`` takes; cloth keeps the pattern of its owner."""
    person = dress(swap_outfit(wearer, clothes, upper, lower, feet), figure)
    dye, other = Dye(wearer.seed), Dye(clothes.seed)
    dye.cloth = other.cloth if upper else dye.cloth
    dye.trousers = other.trousers if lower else dye.trousers
    return replace(person, dye=dye)
