"""OpenCV, which is optional until it is used, and the images that it takes."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

# They install the same folder, so that the last one wins and uninstalling one breaks the others.
PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def import_cv2() -> Any:
    """Return OpenCV. Raises ImportError that says how to install or mend it."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name == "cv2":
            raise ImportError(
                "OpenCV is needed for faces and poses. Install it in ComfyUI's Python: "
                f'"{sys.executable}" -m pip install opencv-python-headless'
            ) from error
        raise ImportError(_explain_broken(error)) from error
    except Exception as error:  # also AttributeError and others, of mixed or cut installations
        raise ImportError(_explain_broken(error)) from error
    if not hasattr(cv2, "FaceDetectorYN") or not hasattr(cv2, "warpAffine"):
        found = getattr(cv2, "__version__", "unknown")
        raise ImportError(_explain_broken(f"version {found} without FaceDetectorYN"))
    return cv2


def _explain_broken(reason: object) -> str:
    installed = [package for package in PACKAGES if _is_installed(package)]
    wanted = "opencv-python-headless"
    if any("contrib" in package for package in installed):  # other packs need its modules
        wanted = "opencv-contrib-python-headless"
    pip = f'"{sys.executable}" -m pip'
    remove = f"{pip} uninstall -y {' '.join(installed)} && " if installed else _remove_folder()
    return (
        "OpenCV is needed for faces and poses, but the installed one is broken "
        f"({' '.join(str(reason).split())[:200]}). Close ComfyUI and install it anew: "
        f"{remove}{pip} install {wanted}"
    )


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _remove_folder() -> str:
    folders = [Path(path, "cv2") for path in sys.path if Path(path, "cv2").is_dir()]
    return f"delete the folder {folders[0]}, then " if folders else ""


def check_image(image: np.ndarray) -> None:
    """Raise a ValueError unless this is an image (H, W, 3) uint8 that has pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}.")
