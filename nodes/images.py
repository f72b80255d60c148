"""ComfyUI's IMAGE as uint8 pixels, and images in ComfyUI's temporary folder."""

import hashlib
from pathlib import Path

import folder_paths
import numpy as np
from PIL import Image
from torch import Tensor

from ..idpatch_core.images import on_black, to_float, to_uint8


def read_images(image: Tensor) -> list[np.ndarray]:
    """Return an IMAGE (N, H, W, C) as N images (H, W, 3) uint8 RGB, on black where transparent.

    Raises ValueError unless it has 1, 3 or 4 channels and pixels.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or not image.numel():
        raise ValueError(
            f"image: expected images (N, H, W, 3), got {tuple(image.shape)}. Connect an IMAGE."
        )
    pixels = to_uint8(on_black(image))
    return list(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3))))


def load_image(path: Path) -> Tensor:
    """Return an image file as an IMAGE (1, H, W, 3)."""
    with Image.open(path) as image:
        return to_float(np.array(image.convert("RGB")))[None]


def save_crop(crop: np.ndarray | None) -> dict[str, str] | None:
    """Write a person's face crop to ComfyUI's temporary folder, if there is one."""
    return None if crop is None else save_temporary("face", crop, ".png")


def save_temporary(kind: str, pixels: np.ndarray, suffix: str) -> dict[str, str]:
    """Write (H, W, 3) uint8 to ComfyUI's temporary folder and return its /view reference."""
    # Named by its content, so that queueing again writes nothing and browsers keep their copy.
    digest = hashlib.sha1(np.ascontiguousarray(pixels).data, usedforsecurity=False)
    digest.update(str(pixels.shape).encode())
    name = f"idpatch_{kind}_{digest.hexdigest()[:20]}{suffix}"
    path = Path(folder_paths.get_temp_directory(), name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90, compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}
