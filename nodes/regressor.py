"""Bodies from pictures alone: Load Regressor and Recover Body from Image."""

from __future__ import annotations

import logging

import comfy.model_management
from comfy_api.latest import io

from ..lwg_core.body.open_body import open_body
from ..lwg_core.errors import InputError
from ..lwg_core.recovery.people import choose_people, track_people
from ..lwg_core.recovery.regressor.files import WHERE_TO_GET, load_regressor
from ..lwg_core.recovery.regressor.recover import BATCH, recover_person
from .drawing import draw_over
from .files import FOLDER, REGRESSORS, changed, model_files, model_path
from .generator import OPERATIONS, in_patcher
from .progress import reporter
from .sockets import (
    CATEGORY,
    BodyModelType,
    PoseKeypointType,
    RegressorType,
    SmplType,
    body_model_input,
    image_to_core,
    mask_to_core,
    one_or_all,
)

log = logging.getLogger(__name__)

NO_FILE = f"no file in models/{FOLDER}"
BYTES_PER_PICTURE = 48 << 20  # twice the measured peak


class LoadRegressor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadRegressor",
            display_name="Load Regressor",
            category=CATEGORY,
            description="Loads the official SPIN (HMR) network, which sees a 3D body in a picture "
            "without keypoints.",
            search_aliases=["spin", "hmr", "human mesh recovery", "smpl regressor", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "regressor_file",
                    options=model_files(REGRESSORS) or [NO_FILE],
                    tooltip=f"A SPIN checkpoint in models/{FOLDER}: {WHERE_TO_GET}.",
                )
            ],
            outputs=[RegressorType.Output("regressor", tooltip="For Recover Body from Image.")],
        )

    @classmethod
    def fingerprint_inputs(cls, regressor_file: str):
        return changed(regressor_file)

    @classmethod
    def execute(cls, regressor_file: str) -> io.NodeOutput:
        if regressor_file == NO_FILE:
            raise InputError(
                f"there is no regressor file: put {WHERE_TO_GET}, into models/{FOLDER} and reload "
                "the page, or use Recover Body from Keypoints, which needs no file"
            )
        return io.NodeOutput(in_patcher(load_regressor(model_path(regressor_file), OPERATIONS)))


class RecoverBodyFromImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_RecoverBodyFromImage",
            display_name="Recover Body from Image",
            category=CATEGORY,
            description="Recovers a 3D body with the SPIN network: one picture, or every frame of "
            "a clip. Keypoints make it fit, a mask says who is meant.",
            search_aliases=["spin", "hmr", "human mesh recovery", "smpl from image"],
            inputs=[
                io.Image.Input("image", tooltip="The picture or the frames of the person."),
                RegressorType.Input("regressor", tooltip="From Load Regressor."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where the person is. Without mask and keypoints the person must "
                    "be alone, in the middle, and fill the picture.",
                ),
                PoseKeypointType.Input(
                    "keypoints",
                    optional=True,
                    tooltip="From SDPose or DWPose, one entry per frame: they place the person, "
                    "and the body is moved onto them.",
                ),
                body_model_input(),
                BodyModelType.Input(
                    "smpl_model",
                    optional=True,
                    advanced=True,
                    tooltip="The SMPL file, if you have it and use another body model: the "
                    "person's proportions are then carried over.",
                ),
            ],
            outputs=[
                SmplType.Output(
                    "smpl", tooltip="Pose, shape and camera of the person in every frame."
                ),
                io.Image.Output("overlay", tooltip="The body over the picture: look at it."),
            ],
        )

    @classmethod
    def execute(
        cls, image, regressor, mask=None, keypoints=None, body_model=None, smpl_model=None
    ) -> io.NodeOutput:
        body = body_model or open_body()
        images = image_to_core(image)
        masks = mask_to_core(mask, images)
        seen, size = None, tuple(images.shape[2:])
        if keypoints is not None:
            seen = whose(keypoints, one_or_all(mask, masks), size)
        need = BYTES_PER_PICTURE * min(BATCH, len(images))
        comfy.model_management.load_models_gpu([regressor], memory_required=need)
        params, messages = recover_person(
            regressor.model, images, body, masks, seen, reporter(),
            smpl=smpl_model, device=regressor.load_device,
        )  # fmt: skip
        for frame, message in enumerate(messages):
            if message:
                log.warning("frame %d: %s", frame, message)
        return io.NodeOutput(params, draw_over(images, body, [params]))


def whose(keypoints, masks, size: tuple[int, int]):
    """The keypoints of the person in the masks, or of the largest one."""
    if not isinstance(keypoints, (list, dict)):  # text would be taken for a file name
        raise InputError("keypoints must come from a pose node's POSE_KEYPOINT output")
    tracks = track_people(keypoints, size)
    how = "largest" if masks is None else "mask"
    return choose_people(tracks, how, mask=masks)[0].keypoints
