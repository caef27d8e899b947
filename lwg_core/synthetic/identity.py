"""Who a synthetic person is: body shape, skin, face, hair and clothes, all drawn from one seed.

Everything here is numbers; ``garments`` and ``pieces`` turn them into geometry, ``appearance`` into
colour. The open body's third and fifth betas are gender and age; hair and clothes lean on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .backgrounds import random_colour
from .outfits import Bottom, Shoes, Top, make_bottom, make_shoes, make_top, pick

BETA_SPREAD = np.array([1.0, 0.9, 1.0, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5])
SKIN_TONES = np.array(
    [(0.96, 0.81, 0.72), (0.9, 0.71, 0.59), (0.8, 0.6, 0.46), (0.64, 0.45, 0.32),
     (0.47, 0.32, 0.22), (0.34, 0.23, 0.17)], np.float32,
)  # fmt: skip
HAIR_COLOURS = np.array(
    [(0.07, 0.06, 0.055), (0.14, 0.09, 0.06), (0.26, 0.16, 0.09), (0.4, 0.27, 0.15),
     (0.62, 0.48, 0.28), (0.78, 0.68, 0.46), (0.48, 0.2, 0.1), (0.58, 0.57, 0.56)], np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """style: "bald", "buzz", "short", "side", "afro", "bob", "long", "ponytail", "bun" or "hat".
    volume: metres off the skull; length: metres below the ears; line: metres the hairline moves
    up; fringe: 0..1 how far it hangs over the forehead; wave: 0..1."""

    style: str
    colour: np.ndarray
    volume: float
    length: float
    line: float
    fringe: float
    wave: float
    beard: str
    hat: np.ndarray
    brim: bool


@dataclass(frozen=True)
class Face:
    """Multipliers around the average face, and colours."""

    iris: np.ndarray
    lips: np.ndarray
    brow: float
    eye: float
    mouth: float
    smile: float
    blush: float
    liner: float
    freckles: float
    lines: float
    glasses: np.ndarray | None
    shades: bool


@dataclass(frozen=True)
class Identity:
    """A synthetic person. ``extras``: names of loose pieces besides hair and skirt: "coat",
    "tunic", "scarf", "hood", "wide_sleeves", "flared_legs", "backpack"."""

    seed: int
    betas: np.ndarray
    skin: np.ndarray
    face: Face
    hair: Hair
    top: Top
    bottom: Bottom
    shoes: Shoes
    extras: tuple[str, ...] = field(default=())

    @property
    def loose(self) -> bool:
        """Whether some piece leaves the surface that clothing offsets can describe."""
        return (
            bool(self.extras)
            or self.bottom.kind == "skirt"
            or self.hair.style in ("long", "bob", "ponytail", "bun")
        )


def make_identity(seed: int) -> Identity:
    """The person number ``seed``; the same on every machine."""
    rng = np.random.default_rng([seed, 1])
    betas = np.clip(rng.normal(0, 1, 10) * BETA_SPREAD, -2.2, 2.2).astype(np.float32)
    tone = rng.uniform(0, len(SKIN_TONES) - 1.01)
    low = int(tone)
    skin = SKIN_TONES[low] + (tone - low) * (SKIN_TONES[low + 1] - SKIN_TONES[low])
    skin = np.clip(skin * rng.uniform(0.95, 1.05) * (1 + rng.normal(0, 0.012, 3)), 0, 1)
    extras: list[str] = []
    feminine, age = bool(betas[2] > rng.normal(0, 0.3)), float(betas[4])
    hair = _hair(rng, feminine, age)
    top = make_top(rng, extras)
    bottom = make_bottom(rng, extras, top, feminine)
    if "coat" in extras and bottom.kind == "skirt":
        extras.remove("coat")
    if rng.random() < 0.03:
        extras.append("scarf")
    if rng.random() < 0.03 and "hood" not in extras:
        extras.append("backpack")
    return Identity(
        seed=seed,
        betas=betas,
        skin=skin.astype(np.float32),
        face=_face(rng, skin, feminine, age),
        hair=hair,
        top=top,
        bottom=bottom,
        shoes=make_shoes(rng),
        extras=tuple(extras),
    )


def _hair(rng: np.random.Generator, feminine: bool, age: float) -> Hair:
    if feminine:
        style = pick(
            rng, buzz=0.03, short=0.22, side=0.12, afro=0.07, bob=0.14, long=0.2, ponytail=0.11,
            bun=0.06, hat=0.05,
        )  # fmt: skip
    else:
        style = pick(
            rng, bald=0.07, buzz=0.13, short=0.42, side=0.15, afro=0.06, long=0.05, ponytail=0.02,
            bun=0.01, hat=0.09,
        )  # fmt: skip
    colour = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS) - 1)] * rng.uniform(0.8, 1.2)
    if rng.normal(1.6, 0.6) < age:
        colour = HAIR_COLOURS[-1] * rng.uniform(0.8, 1.3)
    elif rng.random() < 0.04:
        colour = random_colour(rng, (0.4, 0.9), 1.2)
    low, high = {
        "bald": (0, 0), "buzz": (0.001, 0.003), "short": (0.008, 0.022), "side": (0.014, 0.028),
        "afro": (0.035, 0.085), "bob": (0.012, 0.022), "long": (0.008, 0.018),
        "ponytail": (0.005, 0.01), "bun": (0.005, 0.01), "hat": (0.012, 0.02),
    }[style]  # fmt: skip
    cut = style in ("short", "side", "bob", "long")
    beard = "none" if feminine else pick(rng, none=0.5, stubble=0.2, full=0.2, moustache=0.1)
    return Hair(
        style=style,
        colour=np.clip(colour, 0.03, 1).astype(np.float32),
        volume=rng.uniform(low, high),
        length=rng.uniform(0.05, 0.1) if style == "bob" else rng.uniform(0.14, 0.4),
        line=rng.uniform(-0.006, 0.014),
        fringe=rng.uniform(0.4, 1.0) if cut and rng.random() < 0.4 else 0.0,
        wave=rng.uniform(0, 1),
        beard=beard,
        hat=random_colour(rng, (0.08, 0.95), 0.8),
        brim=bool(rng.random() < 0.6),
    )


def _face(rng: np.random.Generator, skin: np.ndarray, feminine: bool, age: float) -> Face:
    irises = np.array([(0.2, 0.12, 0.07), (0.3, 0.2, 0.1), (0.25, 0.38, 0.5), (0.3, 0.4, 0.25)])
    dark = skin.mean() < 0.5
    iris = irises[0 if dark else rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])]
    made_up = feminine and rng.random() < 0.5
    lips = skin * np.array([0.86, 0.6, 0.6])
    if made_up:
        lips = 0.4 * lips + 0.6 * random_colour(rng, (0.5, 0.85), 0.4) * np.array([1.15, 0.5, 0.6])
    return Face(
        iris=iris.astype(np.float32),
        lips=np.clip(lips, 0, 1).astype(np.float32),
        brow=rng.uniform(0.6, 1.1) if feminine else rng.uniform(0.85, 1.5),
        eye=rng.uniform(0.88, 1.15),
        mouth=rng.uniform(0.85, 1.15),
        smile=rng.uniform(-0.4, 1.0),
        blush=rng.uniform(0.0, 0.6) if made_up else rng.uniform(0, 0.25),
        liner=rng.uniform(0.5, 1.0) if made_up else rng.uniform(0.1, 0.5),
        freckles=rng.uniform(0.3, 1) if not dark and rng.random() < 0.08 else 0.0,
        lines=float(np.clip(rng.uniform(0, 0.5) + 0.25 * age, 0, 1)),
        glasses=random_colour(rng, (0.04, 0.7), 0.6) if rng.random() < 0.16 else None,
        shades=bool(rng.random() < 0.2),
    )
