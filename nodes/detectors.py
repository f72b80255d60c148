"""The face detectors that Load Face Model offers."""

from pathlib import Path

import folder_paths

from ..idpatch_core.face_detector import YUNET, Detector, load_detector

DETECTOR_FILES = ("det_", "scrfd", "retinaface")  # the beginnings of insightface's file names
INSIGHTFACE = "insightface/"  # before the directory's name in the list of detectors

folder_paths.add_model_folder_path("insightface", str(Path(folder_paths.models_dir, "insightface")))


def insightface_directories() -> dict[str, Path]:
    """Return the model packs of insightface by their ids.

    They are in models/insightface/models, where insightface itself puts them, or directly in a
    folder of extra_model_paths.yaml, which may also be a pack.
    """
    found: dict[str, Path] = {}
    for root in map(Path, folder_paths.get_folder_paths("insightface")):
        packs = [pack for pack in sorted(root.glob("models/*")) if any(pack.glob("*.onnx"))]
        # Elsewhere there may be other models, such as inswapper_128.onnx.
        packs += [pack for pack in (*sorted(root.glob("*")), root) if _has_detector(pack)]
        for pack in packs:
            found.setdefault(INSIGHTFACE + pack.name, pack)
    return found


def _has_detector(pack: Path) -> bool:
    return any(file.name.startswith(DETECTOR_FILES) for file in pack.glob("*.onnx"))


def find_detector(name: str) -> Detector:
    """Load a detector by its id in the list."""
    directory = YUNET if name == YUNET else insightface_directories().get(name)
    if directory is None:
        raise ValueError(f"detector: {name} no longer exists. Press R to refresh the list.")
    return load_detector(directory)
