"""Pictures in ComfyUI's temporary folder, which nodes show and editors load."""

import hashlib
from pathlib import Path

import folder_paths
import numpy as np
from PIL import Image


def save_temporary(kind: str, pixels: np.ndarray, suffix: str) -> dict[str, str]:
    """Write (H, W, 3) uint8 to ComfyUI's temporary folder unless it is there; say where."""
    # Named by its content, so that queueing again writes nothing and browsers keep their copy.
    digest = hashlib.sha1(np.ascontiguousarray(pixels).data, usedforsecurity=False)
    digest.update(str(pixels.shape).encode())
    name = f"idpatch_{kind}_{digest.hexdigest()[:20]}{suffix}"
    path = Path(folder_paths.get_temp_directory(), name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90, compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}
