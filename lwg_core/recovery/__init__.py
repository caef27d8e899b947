"""Image evidence to SMPL parameters."""
