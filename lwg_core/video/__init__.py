"""Results written as they come: video, numbered pictures, animated WebP, one picture."""

from .output import FrameOutput, open_output

__all__ = ["FrameOutput", "open_output"]
