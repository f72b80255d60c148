"""The face-recognition network that scores, by default another one than the one that conditions.

A system that was made to reproduce one network's embedding looks better to that network than to
any other, so scoring with it flatters. A scorer is an ONNX file of the user's: any recogniser that
takes an aligned face of 112 x 112 pixels. It runs in onnxruntime if that is installed and in OpenCV
otherwise.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..alignment import CROP_SIZE
from ..face_detector import shorten_error
from .metrics import RECOGNISED

SFACE_THRESHOLD = 0.363  # OpenCV's own for SFace: docs.opencv.org, tutorial dnn_face
CONDITIONING = "conditioning model (flatters)"
ADVICE = (
    "Any ArcFace-type ONNX file will do, for example face_recognition_sface_2021dec.onnx of the "
    "OpenCV Zoo (Apache-2.0)"
)
# ONNX files that lie beside recognisers and are none.
OTHER_NETWORKS = ("det_", "scrfd", "retinaface", "yunet", "yolo", "genderage", "2d106det")
OTHER_NETWORKS += ("1k3d68", "inswapper", "landmark", "detection", "dw-ll")


class Scorer(NamedTuple):
    """A face-recognition network for scoring.

    `embed` takes aligned faces (N, 112, 112, 3) uint8 RGB and returns (N, D) float32 of unit
    length; `threshold` is the cosine from which two faces count as one person; `flatters` says
    that it is the network that conditions.
    """

    name: str
    embed: Callable[[np.ndarray], np.ndarray]
    threshold: float = RECOGNISED
    flatters: bool = False


class Preprocessing(NamedTuple):
    """What a recogniser wants: its channel order, and (x - mean) / std of 0 to 255."""

    channels: str = "RGB"
    mean: float = 127.5
    std: float = 127.5
    threshold: float = RECOGNISED


def find_scorers(directories: Iterable[str | Path]) -> list[Path]:
    """Return the ONNX files in these folders and below that may be face recognisers, by name."""
    found = {
        path.resolve(): path
        for directory in directories
        if Path(directory).is_dir()
        for path in sorted(Path(directory).rglob("*.onnx"))
        if not any(word in path.name.lower() for word in OTHER_NETWORKS)
    }
    return sorted(found.values(), key=lambda path: path.name.lower())


def preprocessing(path: Path) -> Preprocessing:
    """Return how a recogniser wants its input.

    A file `<name>.onnx.json` beside it decides ({"channels": "BGR", "mean": 127, "std": 128,
    "threshold": 0.35}; what is left out keeps its default). Without one the rule of insightface
    holds: RGB, and (x - 127.5) / 127.5 unless the network's first nodes subtract and multiply
    themselves (`insightface/model_zoo/arcface_onnx.py`). SFace is such a network.
    """
    beside = path.with_name(path.name + ".json")
    if beside.is_file():
        return _read_preprocessing(beside)
    with path.open("rb") as file:
        head = file.read(4096)  # the first nodes and their names
    itself = any(b in head for b in (b"Sub", b"_minus")) and any(
        b in head for b in (b"Mul", b"_mul")
    )
    threshold = SFACE_THRESHOLD if "sface" in path.name.lower() else RECOGNISED
    mean, std = (0.0, 1.0) if itself else (127.5, 127.5)
    return Preprocessing("RGB", mean, std, threshold)


def _read_preprocessing(path: Path) -> Preprocessing:
    try:
        read = Preprocessing(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"scorer: {path} is not understood ({error}). Expected for example "
            '{"channels": "BGR", "mean": 127, "std": 128, "threshold": 0.35}.'
        ) from None
    numbers = (read.mean, read.std, read.threshold)
    if read.channels not in ("RGB", "BGR") or not all(isinstance(n, (int, float)) for n in numbers):
        raise ValueError(f"scorer: {path}: expected channels RGB or BGR and numbers, got {read}.")
    return read


def load_scorer(path: str | Path, gpu: int = 0) -> Scorer:
    """Load a face recogniser from an ONNX file; `gpu` is the one to use where there are several.

    Raises ValueError if the file is missing, is no ONNX network or is no recogniser of aligned
    faces of 112 x 112 pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"scorer: there is no file {path}. {ADVICE}.")
    wants = preprocessing(path)
    run = _load_network(path, gpu)

    def embed(crops: np.ndarray) -> np.ndarray:
        faces = np.asarray(crops)
        if faces.ndim != 4 or faces.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(
                f"scorer: expected faces (N, {CROP_SIZE}, {CROP_SIZE}, 3), got {faces.shape}."
            )
        if wants.channels == "BGR":
            faces = faces[..., ::-1]
        blob = ((faces.astype(np.float32) - wants.mean) / wants.std).transpose(0, 3, 1, 2)
        # One at a time: most published files have a fixed batch of one.
        rows = [run(np.ascontiguousarray(face[None])).reshape(-1) for face in blob]
        embeddings = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    try:
        grey = embed(np.full((1, CROP_SIZE, CROP_SIZE, 3), 127, np.uint8))
    except Exception as error:
        raise ValueError(
            f"scorer: {path.name} does not recognise aligned faces of "
            f"{CROP_SIZE} x {CROP_SIZE} pixels ({shorten_error(error)}). {ADVICE}."
        ) from None
    if not 64 <= grey.shape[1] <= 4096 or not np.isfinite(grey).all():
        raise ValueError(
            f"scorer: {path.name} returns {grey.shape[1]} numbers a face, which is no embedding. "
            f"{ADVICE}."
        )
    return Scorer(path.stem, embed, wants.threshold)


def _load_network(path: Path, gpu: int) -> Callable[[np.ndarray], np.ndarray]:
    try:
        import onnxruntime
    except ImportError:
        return _load_in_opencv(path)
    preferred = {"CUDAExecutionProvider": {"device_id": gpu}, "CPUExecutionProvider": {}}
    available = onnxruntime.get_available_providers()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=[pair for pair in preferred.items() if pair[0] in available],
        )
    except Exception as error:
        raise ValueError(f"scorer: {path} is no ONNX network ({shorten_error(error)}).") from None
    name = session.get_inputs()[0].name
    return lambda blob: np.asarray(session.run(None, {name: blob})[0])


def _load_in_opencv(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import cv2

    try:
        network = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise ValueError(
            f"scorer: OpenCV cannot read {path} ({shorten_error(error)}). Install onnxruntime, "
            "which reads more ONNX files, or choose another file."
        ) from None

    def run(blob: np.ndarray) -> np.ndarray:
        network.setInput(blob)
        return network.forward().copy()

    return run


def conditioning_scorer(
    name: str, embed: Callable[[np.ndarray], np.ndarray], threshold: float = RECOGNISED
) -> Scorer:
    """Return the conditioning network as a scorer, marked as one that flatters."""
    return Scorer(f"{name}, which also conditions: flatters", embed, threshold, flatters=True)
