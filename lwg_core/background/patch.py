"""Patch-based completion of a background, coarse to fine.

Every patch that touches the hole looks for its nearest patch in the known part of the picture
(PatchMatch, Barnes et al. 2009), then the hole's pixels are voted from the patches found (the
expectation-maximisation of Wexler et al. 2007 with the robust weights of Newson et al. 2014).

Notable decisions:
- Patches are compared by their leading principal components, the mean colour apart: 7 times less
  to read than the 147 raw values. The position in the picture is part of the same vector, so a
  nearer patch wins among equals.
- Small levels are searched exhaustively (a matrix product). Large ones start from the coarser
  level's matches and improve them by jump-offset propagation and random search, every patch at
  once.
- The coarsest level is peeled from the border inwards with masked patches, so structures that
  enter the hole on both sides meet.
- A patch may shift its mean colour a little when it votes: a wall that darkens towards the corner
  stays a gradient instead of a staircase of copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .push_pull import push_pull

RADIUS = 3
SIDE = 2 * RADIUS + 1
COMPONENTS = 20
COARSEST = 40  # px, the longer side at which the pyramid stops
EXHAUSTIVE = 3e7  # comparisons up to which a level is searched exhaustively
SEARCHED = 512  # px, the longer side above which matches are only carried on
MIN_SOURCES = 48  # patches that a level must offer
MEAN_WEIGHT = 0.6  # of the mean colour's difference against the rest of the patch
MAX_SHIFT = 0.12  # of the mean colour when voting, images span 2
NEARNESS = 0.6  # vertical distance of one image height, as patch distance per pixel and channel
SIDEWAYS = 0.5  # horizontal against vertical distance

