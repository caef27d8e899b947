"""Who a synthetic person is: body shape, skin, face, hair and clothes, all drawn from one seed.

Everything here is numbers; ``garments`` turns them into geometry and ``appearance`` into colour.
Lengths along limbs are shares: a sleeve of 0 ends at the shoulder and of 1 at the wrist, a leg of 0
ends at the crotch and of 1 at the ankle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from .backgrounds import random_colour

BETA_SPREAD = np.array([1.0, 0.9, 1.0, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5])
SKIN_TONES = np.array(
    [(0.96, 0.81, 0.72), (0.9, 0.71, 0.59), (0.8, 0.6, 0.46), (0.64, 0.45, 0.32),
     (0.47, 0.32, 0.22), (0.34, 0.23, 0.17)], np.float32,
)  # fmt: skip
HAIR_COLOURS = np.array(
    [(0.07, 0.06, 0.055), (0.14, 0.09, 0.06), (0.26, 0.16, 0.09), (0.4, 0.27, 0.15),
     (0.62, 0.48, 0.28), (0.78, 0.68, 0.46), (0.48, 0.2, 0.1), (0.58, 0.57, 0.56)], np.float32,
)  # fmt: skip
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
    hair = _hair(rng)
    top = _top(rng, extras)
    bottom = _bottom(rng, extras, top)
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
        face=_face(rng, skin, hair),
        hair=hair,
        top=top,
        bottom=bottom,
        shoes=_shoes(rng, bottom),
        extras=tuple(extras),
    )


def _pick(rng: np.random.Generator, **chances: float) -> str:
    names = list(chances)
    weights = np.array(list(chances.values()))
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _maybe(rng: np.random.Generator, chance: float, **limits) -> np.ndarray | None:
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


def _top(rng: np.random.Generator, extras: list[str]) -> Top:
    kind = _pick(
        rng, tee=0.3, long=0.15, tank=0.09, shirt=0.14, sweater=0.1, hoodie=0.09, jacket=0.1, coat=0.05
    )
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
        front = _pick(rng, zip=0.25, buttons=0.25, open=0.5)
    elif kind == "hoodie":
        front = _pick(rng, closed=0.5, zip=0.3, open=0.2)
    elif kind == "shirt":
        front = _pick(rng, buttons=0.8, open=0.2)
    if kind == "coat":
        extras.append("coat")
    elif kind in ("tee", "long", "tank", "shirt") and rng.random() < 0.1:
        extras.append("tunic")
    if kind == "hoodie" and rng.random() < 0.55:
        extras.append("hood")
    if sleeve > 0.5 and not outer and rng.random() < 0.1:
        extras.append("wide_sleeves")
    necks = {"shirt": "v", "jacket": "v", "coat": "v", "hoodie": "crew"}
    neckline = necks.get(kind) or _pick(rng, crew=0.5, v=0.17, scoop=0.15, boat=0.08, high=0.1)
    low, high = {"crew": (0, 0.02), "v": (0.06, 0.14), "scoop": (0.04, 0.09)}.get(neckline, (0, 0.01))
    printed = front == "closed"
    ease = rng.uniform(0.012, 0.028) if thick else rng.choice(
        [rng.uniform(0.002, 0.006), rng.uniform(0.006, 0.018)], p=[0.3, 0.7]
    )
    return Top(
        sleeve=float(sleeve),
        hem=0.0 if "tunic" in extras else float(rng.choice([rng.uniform(-0.1, -0.02), rng.uniform(0, 0.09)], p=[0.2, 0.8])),
        neckline=neckline,
        depth=rng.uniform(low, high),
        ease=float(ease),
        flare=rng.uniform(0, 0.03) if ease > 0.006 else 0.0,
        cuff=rng.uniform(0, 0.02) if ease > 0.006 else 0.0,
        front=front,
        fabric=fabric,
        inner=make_fabric(rng),
        sleeve_fabric=make_fabric(rng, "plain") if rng.random() < 0.1 else None,
        trim=_maybe(rng, 0.25),
        collar=fabric.colours[0] * 0.85 if kind in ("shirt", "jacket", "coat") else None,
        chest=_print(rng) if printed and rng.random() < 0.5 else None,
        back=_print(rng) if rng.random() < 0.25 else None,
        pockets=bool(rng.random() < 0.3),
    )


def _bottom(rng: np.random.Generator, extras: list[str], top: Top) -> Bottom:
    kind = _pick(rng, trousers=0.63, shorts=0.22, skirt=0.15)
    if kind == "trousers":
        leg = rng.choice([rng.uniform(0.93, 1.0), rng.uniform(0.68, 0.88)], p=[0.85, 0.15])
        cut = _pick(rng, tight=0.3, straight=0.5, wide=0.2)
        if cut != "tight" and rng.random() < 0.09 and leg > 0.9:
            extras.append("flared_legs")
    else:
        cut = _pick(rng, tight=0.15, straight=0.55, wide=0.3)
        leg = rng.uniform(0.22, 0.5)
    if kind == "skirt":
        leg = rng.choice(
            [rng.uniform(0.2, 0.4), rng.uniform(0.45, 0.65), rng.uniform(0.75, 0.97)],
            p=[0.4, 0.38, 0.22],
        )
    fabric = _denim(rng) if kind != "skirt" and rng.random() < 0.35 else make_fabric(
        rng, None if rng.random() < 0.4 else "plain"
    )
    if kind == "skirt" and rng.random() < 0.35:  # a dress
        fabric = top.fabric
    low, high = {"tight": (0.002, 0.005), "straight": (0.006, 0.014), "wide": (0.014, 0.028)}[cut]
    return Bottom(
        kind="skirt" if kind == "skirt" else "trousers",
        leg=float(leg),
        ease=rng.uniform(low, high),
        flare=rng.uniform(0.02, 0.3) if kind == "skirt" else {"tight": 0.0, "straight": rng.uniform(0, 0.015), "wide": rng.uniform(0.005, 0.03)}[cut],
        fabric=fabric,
        side=_maybe(rng, 0.12) if kind != "skirt" else None,
        belt=_maybe(rng, 0.4, value=(0.05, 0.6), saturation=0.5),
        pockets=bool(rng.random() < 0.5),
        pleats=int(rng.integers(5, 14)),
        tights=_maybe(rng, 0.3, value=(0.05, 0.6)) if kind == "skirt" else None,
    )


def _shoes(rng: np.random.Generator, bottom: Bottom) -> Shoes:
    kind = _pick(rng, trainers=0.55, flats=0.2, boots=0.2, bare=0.05)
    dark = random_colour(rng, (0.04, 0.4), 0.5)
    upper = random_colour(rng, (0.06, 0.97), 0.7) if kind == "trainers" or rng.random() < 0.4 else dark
    pale = np.full(3, rng.uniform(0.8, 0.96), np.float32)
    return Shoes(
        kind=kind,
        upper=upper,
        sole=pale if kind == "trainers" and rng.random() < 0.75 else upper * 0.4,
        shaft=rng.uniform(0.06, 0.3) if kind == "boots" else 0.0,
        sock=_maybe(rng, 0.6, value=(0.05, 0.97), saturation=0.5),
    )


def _hair(rng: np.random.Generator) -> Hair:
    style = _pick(
        rng, bald=0.04, buzz=0.08, short=0.31, side=0.12, afro=0.06, bob=0.08, long=0.11,
        ponytail=0.06, bun=0.03, hat=0.06,
    )  # fmt: skip
    colour = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] * rng.uniform(0.8, 1.2)
    if rng.random() < 0.04:
        colour = random_colour(rng, (0.4, 0.9), 1.2)
    low, high = {
        "bald": (0, 0), "buzz": (0.001, 0.003), "short": (0.008, 0.022), "side": (0.014, 0.028),
        "afro": (0.035, 0.085), "bob": (0.012, 0.022), "long": (0.008, 0.018),
        "ponytail": (0.005, 0.01), "bun": (0.005, 0.01), "hat": (0.012, 0.02),
    }[style]  # fmt: skip
    beards = {"bald", "buzz", "short", "side", "afro", "hat"}
    return Hair(
        style=style,
        colour=np.clip(colour, 0.03, 1).astype(np.float32),
        volume=rng.uniform(low, high),
        length=rng.uniform(0.05, 0.1) if style == "bob" else rng.uniform(0.14, 0.4),
        line=rng.uniform(-0.006, 0.014),
        fringe=rng.uniform(0.4, 1.0) if style in ("short", "side", "bob", "long") and rng.random() < 0.4 else 0.0,
        wave=rng.uniform(0, 1),
        beard=_pick(rng, none=0.6, stubble=0.15, full=0.17, moustache=0.08) if style in beards else "none",
        hat=random_colour(rng, (0.08, 0.95), 0.8),
        brim=bool(rng.random() < 0.6),
    )


def _face(rng: np.random.Generator, skin: np.ndarray, hair: Hair) -> Face:
    irises = np.array([(0.2, 0.12, 0.07), (0.3, 0.2, 0.1), (0.25, 0.38, 0.5), (0.3, 0.4, 0.25)])
    dark = skin.mean() < 0.5
    iris = irises[0 if dark else rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])]
    made_up = hair.beard == "none" and rng.random() < 0.35
    lips = skin * np.array([0.86, 0.6, 0.6])
    if made_up:
        lips = 0.4 * lips + 0.6 * random_colour(rng, (0.5, 0.85), 0.4) * np.array([1.15, 0.5, 0.6])
    return Face(
        iris=iris.astype(np.float32),
        lips=np.clip(lips, 0, 1).astype(np.float32),
        brow=rng.uniform(0.6, 1.5),
        eye=rng.uniform(0.88, 1.15),
        mouth=rng.uniform(0.85, 1.15),
        smile=rng.uniform(-0.4, 1.0),
        blush=rng.uniform(0.0, 0.6) if made_up else rng.uniform(0, 0.25),
        liner=rng.uniform(0.5, 1.0) if made_up else rng.uniform(0.1, 0.5),
        freckles=rng.uniform(0.3, 1) if not dark and rng.random() < 0.08 else 0.0,
        lines=rng.uniform(0, 1) ** 2,
        glasses=random_colour(rng, (0.04, 0.7), 0.6) if rng.random() < 0.16 else None,
        shades=bool(rng.random() < 0.2),
    )
