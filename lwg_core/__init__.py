"""Human image synthesis with Attentional Liquid Warping, in plain PyTorch.

The core of the node pack: no ComfyUI import, usable as a library and as ``python -m lwg_core``.
Importing it runs nothing: no device query, no download, no patch.
"""

__version__ = "0.1.0"
