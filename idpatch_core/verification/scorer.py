"""The face-recognition model that scores, by default not the one that conditions.

A system trained to reproduce the embeddings of one model scores higher with that model than with
any other, so its scores are biased upwards. A scorer is an ONNX file of the user's: any recogniser
that takes an aligned face of 112 x 112 pixels. It runs in onnxruntime if that is installed, and in
OpenCV otherwise.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..alignment import CROP_SIZE
from ..face_detector import shorten_error
from ..opencv import import_cv2
from .metrics import DEFAULT_THRESHOLD

MAX_NUMBER = 1e6  # of a preprocessing; also refuses NaN
SFACE_THRESHOLD = 0.363  # OpenCV's own for SFace: docs.opencv.org, tutorial dnn_face
ADVICE = (
    "Any ArcFace-type ONNX file will do, for example face_recognition_sface_2021dec.onnx of the "
    "OpenCV Zoo (Apache-2.0)"
)
# Parts of the names of ONNX files that often lie beside recognisers but are not recognisers.
OTHER_NETWORKS = ("det_", "scrfd", "retinaface", "yunet", "yolo", "genderage", "2d106det")
OTHER_NETWORKS += ("1k3d68", "inswapper", "landmark", "detection", "dw-ll")


class FaceScorer(NamedTuple):
    """A face-recognition model for scoring.

    `embed` takes aligned faces (N, 112, 112, 3) uint8 RGB and returns embeddings (N, D) float32 of
    unit length; `threshold` is the cosine from which two faces count as one person; `biased` is
    True for the model that also conditions.
    """

    name: str
    embed: Callable[[np.ndarray], np.ndarray]
    threshold: float = DEFAULT_THRESHOLD
    biased: bool = False


class Preprocessing(NamedTuple):
    """The input of a recogniser: its channel order, and (x - mean) / std of values 0 to 255."""

    channels: str = "RGB"
    mean: float = 127.5
    std: float = 127.5
    threshold: float = DEFAULT_THRESHOLD


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


def find_preprocessing(path: Path) -> Preprocessing:
    """Return the preprocessing of a recogniser.

    A file `<name>.onnx.json` beside it defines it ({"channels": "BGR", "mean": 127, "std": 128,
    "threshold": 0.35}; missing keys keep their default). Without one the rule of insightface
    applies: RGB, and (x - 127.5) / 127.5 unless the network's first nodes subtract and multiply
    themselves (`insightface/model_zoo/arcface_onnx.py`). SFace is such a network.
    """
    beside = path.with_name(path.name + ".json")
    if beside.is_file():
        return _read_preprocessing(beside)
    with path.open("rb") as file:
        head = file.read(4096)  # the first nodes and their names
    normalises = any(b in head for b in (b"Sub", b"_minus")) and any(
        b in head for b in (b"Mul", b"_mul")
    )
    threshold = SFACE_THRESHOLD if "sface" in path.name.lower() else DEFAULT_THRESHOLD
    mean, std = (0.0, 1.0) if normalises else (127.5, 127.5)
    return Preprocessing("RGB", mean, std, threshold)


def _read_preprocessing(path: Path) -> Preprocessing:
    try:
        read = Preprocessing(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"scorer: {path} cannot be read ({error}). Expected for example "
            '{"channels": "BGR", "mean": 127, "std": 128, "threshold": 0.35}.'
        ) from None
    numbers = (read.mean, read.std, read.threshold)
    if read.channels not in ("RGB", "BGR") or not all(map(_is_finite, numbers)):
        raise ValueError(f"scorer: {path}: expected channels RGB or BGR and numbers, got {read}.")
    return read


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= MAX_NUMBER


def load_scorer(path: str | Path, gpu: int = 0) -> FaceScorer:
    """Load a face recogniser from an ONNX file; `gpu` is the index of the GPU to use.

    Raises ValueError if the file is missing, is not an ONNX network or does not embed aligned faces
    of 112 x 112 pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"scorer: the file {path} does not exist. {ADVICE}.")
    expected = find_preprocessing(path)
    run = _load_network(path, gpu)

    def embed(crops: np.ndarray) -> np.ndarray:
        faces = np.asarray(crops)
        if faces.ndim != 4 or faces.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(
                f"scorer: expected faces (N, {CROP_SIZE}, {CROP_SIZE}, 3), got {faces.shape}."
            )
        if expected.channels == "BGR":
            faces = faces[..., ::-1]
        blob = ((faces.astype(np.float32) - expected.mean) / expected.std).transpose(0, 3, 1, 2)
        # One at a time: most published files have a fixed batch of one.
        rows = [run(np.ascontiguousarray(face[None])).reshape(-1) for face in blob]
        embeddings = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    try:
        grey = embed(np.full((1, CROP_SIZE, CROP_SIZE, 3), 127, np.uint8))
    except Exception as error:
        raise ValueError(
            f"scorer: {path.name} does not accept aligned faces of {CROP_SIZE} x {CROP_SIZE} "
            f"pixels ({shorten_error(error)}). {ADVICE}."
        ) from None
    if not 64 <= grey.shape[1] <= 4096 or not np.isfinite(grey).all():
        raise ValueError(
            f"scorer: {path.name} returns {grey.shape[1]} numbers per face, not an "
            f"embedding. {ADVICE}."
        )
    return FaceScorer(path.stem, embed, expected.threshold)


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
        raise ValueError(
            f"scorer: {path} is not an ONNX network ({shorten_error(error)})."
        ) from None
    name = session.get_inputs()[0].name
    return lambda blob: np.asarray(session.run(None, {name: blob})[0])


def _load_in_opencv(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    cv2 = import_cv2()
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


def make_conditioning_scorer(
    name: str, embed: Callable[[np.ndarray], np.ndarray], threshold: float = DEFAULT_THRESHOLD
) -> FaceScorer:
    """Return the conditioning model as a scorer, marked as biased."""
    return FaceScorer(f"{name} (conditioning model, biased)", embed, threshold, biased=True)
