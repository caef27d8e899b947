"""The picture without the person: which part of it is certain, and how the rest is filled."""

from .clip import clip_background
from .fill import METHODS, check_method, fill_background
from .hole import background_hole
from .network import fill_with_generator
from .patch import patch_fill
from .push_pull import push_pull

__all__ = [
    "METHODS",
    "background_hole",
    "check_method",
    "clip_background",
    "fill_background",
    "fill_with_generator",
    "patch_fill",
    "push_pull",
]
