"""OpenCV, which is optional until it is used, and the images that it takes."""

from typing import Any

import numpy as np


def import_cv2() -> Any:
    """Return OpenCV. Raises ImportError that says how to install it."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"OpenCV is needed to find and align faces ({error}). Install it in ComfyUI's Python: "
            "pip install opencv-python-headless"
        ) from error
    return cv2


def check_image(image: np.ndarray) -> None:
    """Raise a ValueError unless this is an image (H, W, 3) uint8 that has pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}.")
