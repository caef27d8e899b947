"""The keypoints of one person in a picture or clip, ready to fit: the solver works in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from .kinematics import LinearPoints
from .priors import RangeOfMotion
from .solver import Bodies, Evidence, in_chunks
from .swaps import orders


@dataclass(frozen=True)
class View:
    """T frames of image points with the body and the camera that they are held against.

    table, motion: the body's keypoints and what it can do.
    points: (T, K, 2) px; weight: (T, K), 0 = missing. middle: (2,) px, the principal point.
    distance: metres to the camera where the focal length (px) is not known.
    """

    table: LinearPoints
    motion: RangeOfMotion
    points: Tensor
    weight: Tensor
    middle: Tensor
    distance: float
    focal: float | None = None

    def __len__(self) -> int:
        return self.points.shape[0]

    def select(self, index: Tensor) -> View:
        return replace(self, points=self.points[index], weight=self.weight[index])

    def relabelled(self, label: Tensor) -> View:
        """Keypoints with left and right exchanged as label (T,) says (see ``swaps``)."""
        order = orders(len(self.table)).to(label.device)[label]
        points = self.points.gather(1, order[..., None].expand_as(self.points))
        return replace(self, points=points, weight=self.weight.gather(1, order))

    def evidence(self, scale: Tensor, bodies: Bodies | None = None) -> Evidence:
        """What the solver is given; scale (T,) pixels per metre. bodies: for their distances."""
        distance = self.distance
        if self.focal is not None:
            distance = self.focal / scale
            if bodies is not None:
                distance = distance / bodies.log_scale.exp()
        points = (self.points - self.middle) / scale[:, None, None]
        return Evidence(points, self.weight, distance)

    def solve(
        self, evidence: Evidence, bodies: Bodies, steps: int, shape: bool = False
    ) -> tuple[Bodies, Tensor]:
        """``minimise`` in chunks: bodies and energies (T,)."""
        return in_chunks(self.table, self.motion, evidence, bodies, steps, 0.01, shape)
