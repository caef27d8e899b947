"""A photograph to SMPL parameters with an official regressor (HMR, SPIN)."""
