"""New views: the person, or a whole clip, from another side."""

from __future__ import annotations

from comfy_api.latest import io

from ..lwg_core.body.open_body import open_body
from ..lwg_core.body.params import SmplParams
from ..lwg_core.flow.viewer_camera import viewer_rotation, viewer_zoom
from ..lwg_core.flow.views import POSES, bullet_time, novel_view, turntable, view_rotation
from .files import finite
from .sockets import CATEGORY, SmplType, SourcesType, body_model_input

PICTURE, FRONT = "picture", "person's front"
MOST_FRAMES = 10_000


def degrees(name: str, default: float, limit: float, tooltip: str, **more) -> io.Input:
    return io.Float.Input(
        name, default=default, min=-limit, max=limit, step=1.0, tooltip=tooltip, **more
    )


class NovelView(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_NovelView",
            display_name="Novel View",
            category=CATEGORY,
            description="Shows the person from another side: one view, a turntable, or a whole "
            "clip from a new angle.",
            search_aliases=["turntable", "rotate", "multi view", "orbit", "T-pose", "A-pose"],
            inputs=[
                io.MultiType.Input(
                    "person",
                    types=[SourcesType, SmplType],
                    tooltip="Sources: the person of the first picture. A body or a target clip: "
                    "that, from another side.",
                ),
                degrees("yaw", 0.0, 3600.0, "The person turns to their own left by this much. 90 "
                        "shows their right side."),
                degrees("pitch", 0.0, 90.0, "The viewer rises: 90 looks down from above, -90 up "
                        "from below."),
                degrees("roll", 0.0, 360.0, "The picture turns clockwise.", optional=True,
                        advanced=True),
                io.Int.Input(
                    "frames",
                    default=1,
                    min=1,
                    max=MOST_FRAMES,
                    tooltip="1: a single view. More: a turntable that starts at yaw. A clip keeps "
                    "its own number of frames; with more than 1 here the camera turns while it "
                    "plays.",
                ),
                degrees("turn", 360.0, 3600.0, "Degrees of the turntable in all. A whole turn "
                        "loops."),
                io.Combo.Input(
                    "pose",
                    options=list(POSES),
                    tooltip="The person's own pose, or upright with the arms out (T) or lowered "
                    "(A).",
                ),
                io.Combo.Input(
                    "angles_from",
                    options=[PICTURE, FRONT],
                    optional=True,
                    advanced=True,
                    tooltip="Where the angles start: the view of the picture, or the person's "
                    "front whichever way the picture shows them.",
                ),
                io.Load3DCamera.Input(
                    "camera_info",
                    optional=True,
                    tooltip="Camera of a 3D viewer or of Create Camera Info: its direction, roll "
                    "and zoom, seen from the person's front. The angles are added to it.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "target", tooltip="The person in the new view, for Compose Flow."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, person, yaw, pitch, frames, turn, pose, roll=0.0, angles_from=PICTURE,
        camera_info=None, body_model=None,
    ) -> io.NodeOutput:  # fmt: skip
        for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll), ("turn", turn)):
            finite(name, value)
        params, offsets = person, None
        if not isinstance(person, SmplParams):
            params, offsets = person[0].params, person[0].offsets
        if frames > 1 and len(params) > 1:
            frames = len(params)
        view = view_rotation(turntable(frames, turn, yaw) if frames > 1 else yaw, pitch, roll)
        front, zoom = angles_from == FRONT, 1.0
        if camera_info is not None:
            view, front = viewer_rotation(camera_info) @ view, True
            zoom = viewer_zoom(camera_info)
        body = body_model or open_body()
        return io.NodeOutput(novel_view(params, body, view, pose, front, zoom, offsets))


class BulletTime(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_BulletTime",
            display_name="Bullet Time",
            category=CATEGORY,
            description="Stops a clip at one frame, goes around the person, and goes on.",
            search_aliases=["freeze", "matrix", "frozen moment", "orbit"],
            inputs=[
                SmplType.Input("target", tooltip="A clip with cameras, from Imitate Motion."),
                io.Int.Input(
                    "frame",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="The frame at which the person stops, counted from 0.",
                ),
                io.Int.Input(
                    "frames",
                    default=30,
                    min=1,
                    max=MOST_FRAMES,
                    tooltip="Frames that the turn takes; they are added to the clip.",
                ),
                degrees("turn", 360.0, 3600.0, "Degrees of the turn. The clip goes on from the "
                        "side that is reached."),
                degrees("pitch", 0.0, 90.0, "How high the viewer rises halfway round.",
                        optional=True, advanced=True),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "shot", display_name="target", tooltip="The longer clip, for Compose Flow."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, target, frame, frames, turn, pitch=0.0, body_model=None) -> io.NodeOutput:
        finite("turn", turn)
        finite("pitch", pitch)
        body = body_model or open_body()
        return io.NodeOutput(bullet_time(target, body, frame, frames, turn, pitch))
