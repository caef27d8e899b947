"""Body models in SMPL layout, their parameters and files, and the built-in open body."""
