"""Bodies from keypoints, and bodies that other nodes have recovered."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ..lwg_core.body.open_body import open_body
from ..lwg_core.body.params import SmplParams
from ..lwg_core.errors import InputError
from ..lwg_core.recovery.payloads.recognise import import_payload
from ..lwg_core.recovery.people import CHOICES
from ..lwg_core.recovery.recover import recover_people
from ..lwg_core.recovery.reports import describe_frames
from .drawing import draw_over
from .files import finite
from .progress import reporter
from .sockets import (
    CATEGORY,
    MhrType,
    NlfType,
    PoseKeypointType,
    SmplPayloadType,
    SmplType,
    body_model_input,
    image_to_core,
    mask_to_core,
    one_or_all,
)

log = logging.getLogger(__name__)

MOST_PEOPLE = 99
FARTHEST = 16384  # px


class RecoverBodyFromKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_RecoverBodyFromKeypoints",
            display_name="Recover Body from Keypoints",
            category=CATEGORY,
            description="Fits a 3D body to the keypoints of a pose node: one picture, or every "
            "frame of a clip. Several people are told apart.",
            search_aliases=[
                "smpl fit",
                "smplify",
                "openpose to smpl",
                "dwpose",
                "sdpose",
                "motion capture",
            ],
            inputs=[
                io.Image.Input(
                    "image", tooltip="The picture or the frames that the keypoints were found in."
                ),
                PoseKeypointType.Input(
                    "keypoints",
                    tooltip="From SDPose (core) or DWPose / OpenPose (controlnet_aux), one entry "
                    "per frame.",
                ),
                io.Combo.Input(
                    "person",
                    options=list(CHOICES),
                    tooltip="Who, if several were found. largest; all (one result each); only "
                    "(refuse several); index; mask (whom the mask covers); point (who is at x, y).",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=MOST_PEOPLE,
                    optional=True,
                    advanced=True,
                    tooltip="For person = index: 0 is the largest person.",
                ),
                io.Int.Input(
                    "x", default=0, min=0, max=FARTHEST, optional=True, advanced=True,
                    tooltip="For person = point: pixels from the left.",
                ),
                io.Int.Input(
                    "y", default=0, min=0, max=FARTHEST, optional=True, advanced=True,
                    tooltip="For person = point: pixels from the top.",
                ),
                io.Float.Input(
                    "fps", default=30.0, min=1.0, max=240.0, optional=True, advanced=True,
                    tooltip="Frames per second of a clip: how fast people can move in it.",
                ),
                io.Float.Input(
                    "focal", default=0.0, min=0.0, max=1e6, optional=True, advanced=True,
                    tooltip="Focal length in pixels if known. 0 = the person is taken to stand "
                    "5 metres away.",
                ),
                io.Combo.Input(
                    "frames_are",
                    options=["a clip", "single pictures"],
                    optional=True,
                    advanced=True,
                    tooltip="A clip is joined and smoothed over time; single pictures of one "
                    "person are fitted alone.",
                ),
                io.Boolean.Input(
                    "tight_clothing", default=False, optional=True, advanced=True,
                    tooltip="Fit the outline of the mask too. Only for tight clothes: loose ones "
                    "make the body worse.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The person, white: for person = mask, or for tight clothing.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "smpl",
                    is_output_list=True,
                    tooltip="Pose, shape and camera in every frame; one for each chosen person.",
                ),
                io.Image.Output("overlay", tooltip="The fitted bodies over the picture: look!"),
                io.String.Output(
                    "report", tooltip="What was not seen, mended, filled or refused, by frames."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image, keypoints, person, index=0, x=0, y=0, fps=30.0, focal=0.0,
        frames_are="a clip", tight_clothing=False, mask=None, body_model=None,
    ) -> io.NodeOutput:  # fmt: skip
        if not isinstance(keypoints, (list, dict)):  # text would be taken for a file name
            raise InputError("keypoints must come from a pose node's POSE_KEYPOINT output")
        body, images = body_model or open_body(), image_to_core(image)
        people = recover_people(
            keypoints, body, tuple(images.shape[2:]), len(images), person, index,
            one_or_all(mask, mask_to_core(mask, images)), (x, y), fps=finite("fps", fps),
            focal=finite("focal", focal) or None, tight=tight_clothing,
            smooth=frames_are == "a clip", progress=reporter(),
        )  # fmt: skip
        report = "\n".join(person.report() for person in people)
        log.info("%s", report)
        bodies = [person.params for person in people]
        return io.NodeOutput(bodies, draw_over(images, body, bodies), report)


class ImportBody(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_ImportBody",
            display_name="Import Body",
            category=CATEGORY,
            description="Takes over bodies that another node has recovered, and refits ours to "
            "them: SAM 3D Body, NLF, MotionCapture (GVHMR), HyMotion.",
            search_aliases=["sam 3d body", "sam3d", "mhr", "nlf", "gvhmr", "smpl params"],
            inputs=[
                io.MultiType.Input(
                    "recovered",
                    [MhrType, NlfType, SmplPayloadType],
                    tooltip="MHR_POSE_DATA of Predict SAM 3D Body (core), NLFPRED of an NLF node, "
                    "or SMPL_PARAMS.",
                ),
                io.Int.Input(
                    "person",
                    default=0,
                    min=-1,
                    max=MOST_PEOPLE,
                    tooltip="Which person, in the order of the other node. -1 = all, one result "
                    "each.",
                ),
                io.Float.Input(
                    "fps", default=30.0, min=1.0, max=240.0, optional=True, advanced=True,
                    tooltip="Frames per second, where the other node does not say.",
                ),
                io.Float.Input(
                    "fov", default=55.0, min=1.0, max=170.0, optional=True, advanced=True,
                    tooltip="Degrees along the longer side of the picture, for NLF, which does not "
                    "say: 55 unless you set another there.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The pictures in which the bodies were found: their size, and the "
                    "overlay is drawn over them.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "smpl",
                    is_output_list=True,
                    tooltip="Pose, shape and camera in every frame; one for each chosen person.",
                ),
                io.Image.Output("overlay", tooltip="The bodies over the picture: look!"),
                io.String.Output("report", tooltip="Frames without a body."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, recovered, person, fps=30.0, fov=55.0, image=None, body_model=None
    ) -> io.NodeOutput:
        body = body_model or open_body()
        images = None if image is None else image_to_core(image)
        size = None if images is None else tuple(images.shape[2:])
        people = import_payload(
            recovered, body, size, finite("fps", fps), finite("fov", fov), reporter()
        )
        if person >= len(people):
            raise InputError(f"there is no person {person}; {len(people)} were found, from 0 on")
        if images is not None and len(images) not in (1, len(people[0])):
            raise InputError(
                f"image holds {len(images)} pictures but {len(people[0])} frames were recovered"
            )
        people = people if person < 0 else people[person : person + 1]
        report = "\n".join(describe(params, size) for params in people)
        return io.NodeOutput(list(people), draw_over(images, body, people), report)


def describe(params: SmplParams, size: tuple[int, int] | None) -> str:
    """What to know about a person of pictures of (height, width), or of none."""
    lost = ["" if good else "no body" for good in params.valid.tolist()]
    head = f"person {params.track}: {int(params.valid.sum())} of {len(params)} frames have a body"
    lines = [head, *describe_frames(lost)]
    if size is not None and (params.camera is None or params.camera.size != size):
        lines.append("the body came without a camera that saw it in image: it is a motion only")
    return "\n".join(lines)
