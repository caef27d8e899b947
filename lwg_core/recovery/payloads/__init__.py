"""Bodies that other nodes have recovered, as they travel between ComfyUI packs in memory."""

from .mhr import import_mhr
from .nlf import import_nlf
from .smpl import import_smpl_payload

__all__ = ["import_mhr", "import_nlf", "import_smpl_payload"]
