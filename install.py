"""Says whether OpenCV works, and otherwise how to install it. ComfyUI-Manager runs it.

It installs nothing: which of OpenCV's packages fits depends on the other packs.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from idpatch_core.opencv import import_cv2

try:
    print(f"[ID-Patch] OpenCV {import_cv2().__version__} works.")
except ImportError as error:
    print(f"[ID-Patch] {error}")
