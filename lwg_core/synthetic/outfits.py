"""What a synthetic person wears: fabrics, prints, tops, bottoms and shoes, drawn at random.

Lengths along limbs are shares: a sleeve of 0 ends at the shoulder and of 1 at the wrist, a leg of 0
ends at the crotch and of 1 at the ankle.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .backgrounds import random_colour

FABRICS = (
    "plain", "stripes", "pinstripes", "checks", "plaid", "dots", "blotches", "block", "gradient",
    "melange", "knit", "zigzag",
)  # fmt: skip
FABRIC_CHANCES = (0.37, 0.12, 0.05, 0.04, 0.07, 0.06, 0.06, 0.06, 0.04, 0.06, 0.04, 0.03)


@dataclass(frozen=True)
class Fabric:
    """kind: one of FABRICS or "denim"; colours (3, 3) RGB; scale: repeats per metre; share: part of
    a repeat in the second colour; noise: relative brightness noise; gloss: specular strength;
    folds: strength of the wrinkles."""

    kind: str
    colours: np.ndarray
    scale: float
    share: float
    noise: float
    gloss: float
    folds: float


@dataclass(frozen=True)
class Print:
    """A picture on the cloth: rgba (h, w, 4) 0..1, width in metres, centre x and y in metres from
    the middle of the chest."""

    rgba: np.ndarray
    width: float
    x: float
    y: float


@dataclass(frozen=True)
class Top:
    """neckline: "crew", "v", "scoop", "boat" or "high"; depth: metres below the crew line.
    hem: metres below the pelvis joint; ease: metres off the body; flare: extra metres at the hem;
    cuff: extra metres at the sleeve end. front: "closed", "zip", "buttons" or "open"."""

    sleeve: float
    hem: float
    neckline: str
    depth: float
    ease: float
    flare: float
    cuff: float
    front: str
    fabric: Fabric
    inner: Fabric
    sleeve_fabric: Fabric | None
    trim: np.ndarray | None
    collar: np.ndarray | None
    chest: Print | None
    back: Print | None
    pockets: bool


@dataclass(frozen=True)
class Bottom:
    """kind: "trousers" or "skirt"; leg: end of the legs (trousers) or of the skirt; ease and flare
    as in Top; pleats: number of folds of a skirt."""

    kind: str
    leg: float
    ease: float
    flare: float
    fabric: Fabric
    side: np.ndarray | None
    belt: np.ndarray | None
    pockets: bool
    pleats: int
    tights: np.ndarray | None


@dataclass(frozen=True)
class Shoes:
    """kind: "trainers", "boots", "flats" or "bare"; shaft: metres above the ankle (boots)."""

    kind: str
    upper: np.ndarray
    sole: np.ndarray
    shaft: float
    sock: np.ndarray | None


def pick(rng: np.random.Generator, **chances: float) -> str:
    names = list(chances)
    weights = np.array(list(chances.values()))
    return names[rng.choice(len(names), p=weights / weights.sum())]


def maybe(rng: np.random.Generator, chance: float, **limits) -> np.ndarray | None:
    return random_colour(rng, **limits) if rng.random() < chance else None


def make_fabric(rng: np.random.Generator, kind: str | None = None) -> Fabric:
    kind = kind or FABRICS[rng.choice(len(FABRICS), p=FABRIC_CHANCES)]
    saturation = rng.choice([0.25, 0.7, 1.0], p=[0.35, 0.4, 0.25])
    colours = np.stack([random_colour(rng, (0.06, 0.97), saturation) for _ in range(3)])
    if rng.random() < 0.5:  # tone on tone, or with white or black
        colours[1] = np.clip(colours[0] * rng.uniform(0.5, 1.7), 0, 1)
    elif rng.random() < 0.5:
        colours[1] = rng.choice([0.95, 0.06])
    return Fabric(
        kind=kind,
        colours=colours.astype(np.float32),
        scale=float(np.exp(rng.uniform(np.log(7), np.log(30)))),
        share=rng.uniform(0.25, 0.6),
        noise=rng.choice([0.02, 0.05, 0.1], p=[0.5, 0.35, 0.15]),
        gloss=rng.choice([0.0, 0.06, 0.18], p=[0.6, 0.3, 0.1]),
        folds=rng.uniform(0.1, 0.45),
    )


def _denim(rng: np.random.Generator) -> Fabric:
    base = np.array([0.22, 0.3, 0.46], np.float32) * rng.uniform(0.45, 1.6)
    base = base + rng.uniform(0, 0.15)
    pale = np.clip(base * 1.35 + 0.06, 0, 1)
    colours = np.clip(np.stack([base, pale, base * 0.8]), 0, 1).astype(np.float32)
    return Fabric("denim", colours, 12.0, 0.5, 0.06, 0.0, rng.uniform(0.2, 0.5))


def _print(rng: np.random.Generator) -> Print:
    """A logo of one to three shapes or words."""
    canvas = np.zeros((96, 128, 4), np.uint8)
    for _ in range(rng.integers(1, 4)):
        colour = [*(int(255 * c) for c in random_colour(rng, (0.05, 1.0), 1.0)), 255]
        fill = -1 if rng.random() < 0.5 else int(rng.integers(3, 7))
        kind = rng.integers(4)
        if kind == 0:
            letters = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
            text = "".join(rng.choice(list(letters), rng.integers(1, 5)))
            face, thick = int(rng.choice([0, 2, 3, 4])), int(rng.integers(3, 8))
            (width, height), _ = cv2.getTextSize(text, face, 1.0, thick)
            size = min(116 / width, 60 / height)
            at = int(64 - size * width / 2), int(rng.integers(40, 90))
            cv2.putText(canvas, text, at, face, size, colour, thick, cv2.LINE_AA)
        elif kind == 1:
            centre = [int(v) for v in rng.uniform((24, 24), (104, 72))]
            cv2.circle(canvas, centre, int(rng.integers(10, 34)), colour, fill, cv2.LINE_AA)
        elif kind == 2:
            corner = [int(v) for v in rng.uniform((2, 2), (60, 44))]
            end = [int(v) for v in rng.uniform((66, 50), (126, 94))]
            cv2.rectangle(canvas, corner, end, colour, fill)
        else:
            points = rng.uniform((4, 4), (124, 92), (5, 2)).astype(np.int32)
            cv2.fillConvexPoly(canvas, cv2.convexHull(points), colour, cv2.LINE_AA)
    small = rng.random() < 0.3
    width = rng.uniform(0.07, 0.11) if small else rng.uniform(0.18, 0.3)
    x = rng.choice([-0.08, 0.08]) if small else 0.0
    return Print(canvas.astype(np.float32) / 255, width, x, rng.uniform(-0.05, 0.05))


def make_top(rng: np.random.Generator, extras: list[str]) -> Top:
    """A T-shirt, shirt, sweater, jacket ...; may add loose pieces to ``extras``."""
    kind = pick(
        rng, tee=0.3, long=0.15, tank=0.09, shirt=0.14, sweater=0.1, hoodie=0.09, jacket=0.1,
        coat=0.05,
    )  # fmt: skip
    sleeve = {
        "tee": rng.uniform(0.25, 0.5),
        "tank": rng.uniform(-0.12, 0.06),
        "shirt": rng.choice([rng.uniform(0.3, 0.45), rng.uniform(0.9, 0.97)], p=[0.3, 0.7]),
    }.get(kind, rng.choice([rng.uniform(0.55, 0.8), rng.uniform(0.9, 0.98)], p=[0.15, 0.85]))
    outer = kind in ("jacket", "coat", "hoodie")
    thick = outer or kind == "sweater"
    fabric = make_fabric(rng, "knit" if kind == "sweater" and rng.random() < 0.4 else None)
    if kind in ("jacket", "coat") and rng.random() < 0.7:
        fabric = _denim(rng) if rng.random() < 0.2 else make_fabric(rng, "plain")
    front = "closed"
    if kind in ("jacket", "coat"):
        front = pick(rng, zip=0.25, buttons=0.25, open=0.5)
    elif kind == "hoodie":
        front = pick(rng, closed=0.5, zip=0.3, open=0.2)
    elif kind == "shirt":
        front = pick(rng, buttons=0.8, open=0.2)
    if kind == "coat":
        extras.append("coat")
    elif kind in ("tee", "long", "tank", "shirt") and rng.random() < 0.1:
        extras.append("tunic")
    if kind == "hoodie" and rng.random() < 0.55:
        extras.append("hood")
    if sleeve > 0.5 and not outer and rng.random() < 0.1:
        extras.append("wide_sleeves")
    necks = {"shirt": "v", "jacket": "v", "coat": "v", "hoodie": "crew"}
    neckline = necks.get(kind) or pick(rng, crew=0.5, v=0.17, scoop=0.15, boat=0.08, high=0.1)
    depths = {"crew": (0, 0.02), "v": (0.06, 0.14), "scoop": (0.04, 0.09)}
    low, high = depths.get(neckline, (0, 0.01))
    printed = front == "closed"
    close, easy = rng.uniform(0.002, 0.006), rng.uniform(0.006, 0.018)
    ease = rng.uniform(0.012, 0.028) if thick else rng.choice([close, easy], p=[0.3, 0.7])
    cropped, usual = rng.uniform(-0.1, -0.02), rng.uniform(0, 0.09)
    hem = 0.0 if "tunic" in extras else rng.choice([cropped, usual], p=[0.15, 0.85])
    return Top(
        sleeve=float(sleeve),
        hem=float(hem),
        neckline=neckline,
        depth=rng.uniform(low, high),
        ease=float(ease),
        flare=rng.uniform(0, 0.03) if ease > 0.006 else 0.0,
        cuff=rng.uniform(0, 0.02) if ease > 0.006 else 0.0,
        front=front,
        fabric=fabric,
        inner=make_fabric(rng),
        sleeve_fabric=make_fabric(rng, "plain") if rng.random() < 0.1 else None,
        trim=maybe(rng, 0.25),
        collar=fabric.colours[0] * 0.85 if kind in ("shirt", "jacket", "coat") else None,
        chest=_print(rng) if printed and rng.random() < 0.5 else None,
        back=_print(rng) if rng.random() < 0.25 else None,
        pockets=bool(rng.random() < 0.3),
    )


def make_bottom(rng: np.random.Generator, extras: list[str], top: Top, feminine: bool) -> Bottom:
    """Trousers, shorts or a skirt to go with a top; may add to ``extras``."""
    kind = pick(rng, trousers=0.63, shorts=0.22, skirt=0.3 if feminine else 0.03)
    if kind == "trousers":
        leg = rng.choice([rng.uniform(0.93, 1.0), rng.uniform(0.68, 0.88)], p=[0.85, 0.15])
        cut = pick(rng, tight=0.3, straight=0.5, wide=0.2)
        if cut != "tight" and rng.random() < 0.09 and leg > 0.9:
            extras.append("flared_legs")
    else:
        cut = pick(rng, tight=0.15, straight=0.55, wide=0.3)
        leg = rng.uniform(0.22, 0.5)
    if kind == "skirt":
        leg = rng.choice(
            [rng.uniform(0.2, 0.4), rng.uniform(0.45, 0.65), rng.uniform(0.75, 0.97)],
            p=[0.4, 0.38, 0.22],
        )
    if kind != "skirt" and rng.random() < 0.35:
        fabric = _denim(rng)
    else:
        fabric = make_fabric(rng, None if rng.random() < 0.4 else "plain")
    if kind == "skirt" and rng.random() < 0.35:  # a dress
        fabric = top.fabric
    low, high = {"tight": (0.002, 0.005), "straight": (0.006, 0.014), "wide": (0.014, 0.028)}[cut]
    if kind == "skirt":
        flare = rng.uniform(0.02, 0.3)
    else:
        flare = rng.uniform(*{"tight": (0, 0), "straight": (0, 0.015), "wide": (0.005, 0.03)}[cut])
    return Bottom(
        kind="skirt" if kind == "skirt" else "trousers",
        leg=float(leg),
        ease=rng.uniform(low, high),
        flare=flare,
        fabric=fabric,
        side=maybe(rng, 0.12) if kind != "skirt" else None,
        belt=maybe(rng, 0.4, value=(0.05, 0.6), saturation=0.5),
        pockets=bool(rng.random() < 0.5),
        pleats=int(rng.integers(5, 14)),
        tights=maybe(rng, 0.3, value=(0.05, 0.6)) if kind == "skirt" else None,
    )


def make_shoes(rng: np.random.Generator) -> Shoes:
    kind = pick(rng, trainers=0.55, flats=0.2, boots=0.2, bare=0.05)
    dark = random_colour(rng, (0.04, 0.4), 0.5)
    bright = random_colour(rng, (0.06, 0.97), 0.7)
    upper = bright if kind == "trainers" or rng.random() < 0.4 else dark
    pale = np.full(3, rng.uniform(0.8, 0.96), np.float32)
    return Shoes(
        kind=kind,
        upper=upper,
        sole=pale if kind == "trainers" and rng.random() < 0.75 else upper * 0.4,
        shaft=rng.uniform(0.06, 0.3) if kind == "boots" else 0.0,
        sock=maybe(rng, 0.6, value=(0.05, 0.97), saturation=0.5),
    )
