"""Keypoints of a picture or a clip to the bodies of the people who are meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from .fit import fit_keypoints
from .people import choose_people, track_people
from .reports import describe_frames, report_frames


@dataclass(frozen=True)
class RecoveredPerson:
    """params: T frames, ``track`` = the person's number.

    error_px: mean distance to the keypoints in the valid frames, None where it was not measured.

    messages: T sentences, "" where there is nothing to say.
    """

    params: SmplParams
    error_px: float | None
    messages: tuple[str, ...]

    def report(self) -> str:
        """What to know about this body, as lines of text."""
        frames, valid = len(self.params), int(self.params.valid.sum())
        head = f"person {self.params.track}: {valid} of {frames} frames have a body"
        if valid and self.error_px is not None:
            head += f", {self.error_px:.1f} px mean distance to the keypoints"
        return "\n".join([head, *describe_frames(self.messages)])


def recover_people(
    payload: object,
    body: BodyModel,
    size: tuple[int, int],
    frames: int,
    who: str = "largest",
    number: int = 0,
    mask: Tensor | None = None,
    point: tuple[float, float] | None = None,
    *,
    fps: float = 30.0,
    focal: float | None = None,
    tight: bool = False,
    smooth: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[RecoveredPerson, ...]:
    """Fit ``body`` to everybody in POSE_KEYPOINT who is meant, each over all frames.

    payload: POSE_KEYPOINT of ``frames`` pictures of ``size`` = (height, width).
    who, number, mask, point: as in ``choose_people``.
    tight: the outline of ``mask`` (frames, 1, H, W) counts too: for tight clothing only.
    fps, focal (px, None = not known), smooth: as in ``fit_keypoints``.
    progress: called with (frames done, frames of all people together).
    """
    tracks = track_people(payload, size)
    if len(tracks[0].keypoints) != frames:
        raise InputError(
            f"keypoints hold {len(tracks[0].keypoints)} frames but image holds {frames}; they must "
            "match"
        )
    if tight and mask is None:
        raise InputError("tight clothing needs the mask of the person, whose outline is fitted")
    if tight and who == "all":
        raise InputError("tight clothing works for one person at a time; choose one")
    chosen = choose_people(tracks, who, number, mask, point)
    people = []
    for done, track in enumerate(chosen):
        start = done * frames

        def report(step: int, total: int, start: int = start) -> None:
            if progress is not None:
                progress(start + step, frames * len(chosen))

        fit = fit_keypoints(
            track.keypoints, body, size, fps=fps, progress=report,
            focal=focal, mask=mask if tight else None, smooth=smooth,
        )  # fmt: skip
        params = replace(fit.params, track=track.number)
        valid = params.valid
        error = float(fit.error_px[valid].mean()) if valid.any() else None
        messages = tuple(
            said if not good else "; ".join(filter(None, [said, _unseen(seen)]))
            for said, seen, good in zip(
                fit.messages, report_frames(track.keypoints, fps), valid.tolist(), strict=True
            )
        )
        people.append(RecoveredPerson(params, error, messages))
    return tuple(people)


def _unseen(message: str) -> str:
    """Without what the fit says itself, of exchanged sides and missing points."""
    kept = (part for part in message.split("; ") if "were swapped" not in part)
    return "; ".join(part for part in kept if "too few" not in part and "not found" not in part)
