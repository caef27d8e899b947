"""The ComfyUI face of the pack: one file per stage, all V3 schema."""

from comfy_api.latest import ComfyExtension, io
from typing_extensions import override

from .background import InpaintBackground
from .body import LoadBodyModel, PreviewBody
from .evaluate import Evaluate
from .example import ExamplePerson
from .files import register_folders
from .flow import ComposeFlow, FlowToTensors
from .generator import Generate, LoadGenerator
from .motion import ImitateMotion, LoadMotion, SaveMotion, SmoothMotion
from .parts import SelectParts
from .personalize import LoadPersonalized, Personalize, SavePersonalized
from .recovery import ImportBody, RecoverBodyFromKeypoints
from .regressor import LoadRegressor, RecoverBodyFromImage
from .source import AddSource
from .video import GenerateToFile
from .views import BulletTime, NovelView


class LiquidWarpingExtension(ComfyExtension):
    @override
    async def on_load(self) -> None:
        register_folders()

    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            ExamplePerson,
            LoadBodyModel,
            RecoverBodyFromKeypoints,
            LoadRegressor,
            RecoverBodyFromImage,
            ImportBody,
            PreviewBody,
            LoadMotion,
            SmoothMotion,
            SaveMotion,
            AddSource,
            SelectParts,
            ImitateMotion,
            NovelView,
            BulletTime,
            ComposeFlow,
            FlowToTensors,
            InpaintBackground,
            LoadGenerator,
            Generate,
            GenerateToFile,
            Personalize,
            SavePersonalized,
            LoadPersonalized,
            Evaluate,
        ]
