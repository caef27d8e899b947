"""Motions and bodies that other programs wrote, to SMPL parameters."""

from .load import load_motion_file

__all__ = ["load_motion_file"]
