"""The picture without the person: which part of it is certain, and how the rest is filled."""

from .fill import METHODS, fill_background
from .hole import background_hole
from .patch import patch_fill
from .push_pull import push_pull

__all__ = ["METHODS", "background_hole", "fill_background", "patch_fill", "push_pull"]
