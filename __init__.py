"""ComfyUI entry point. The nodes live in ``nodes``, everything they compute in ``lwg_core``."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import LiquidWarpingExtension

    return LiquidWarpingExtension()
