"""Results written as they come: video, numbered pictures, animated WebP, one picture."""

from .output import FrameOutput, open_output, takes_alpha, takes_sound
from .sound import has_sound

__all__ = ["FrameOutput", "has_sound", "open_output", "takes_alpha", "takes_sound"]
