"""Results written as they come: video, numbered pictures, animated WebP, one picture."""

from .opening import open_output
from .output import FrameOutput

__all__ = ["FrameOutput", "open_output"]
