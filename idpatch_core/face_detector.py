"""Finds the faces in a picture: box, five keypoints, score.

YuNet lies beside this file and runs in OpenCV. InsightFace runs detectors of the user's own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

YUNET = "YuNet"
YUNET_FILE = Path(__file__).parent / "data" / "face_detection_yunet_fp32.onnx"
# YuNet is at its best with faces 16 to 384 pixels wide. A picture is looked at in both sizes, the
# longer side in pixels: the first for small faces, the second for faces that fill the picture.
YUNET_SIDES = (1280, 320)
YUNET_LEAST = 64
# Drawn faces score from 0.6; tiles and flames reach 0.7. So what else is in a picture with a good
# face has to be nearly as good.
YUNET_THRESHOLD, YUNET_DOUBT = 0.6, 0.2
SAME_FACE = 0.3  # overlap, intersection over union, from which two boxes are one face

LARGEST, LEFT_TO_RIGHT, INDEX, ALL = "largest", "left to right", "index", "all"
CHOICES = (LARGEST, LEFT_TO_RIGHT, INDEX, ALL)


class Face(NamedTuple):
    """A face in a picture.

    `box` is left, top, right, bottom in pixels; `keypoints` (5, 2) float32 pixels in the order
    left eye, right eye (as seen in the picture), nose, left and right corner of the mouth;
    `score` is from 0 to 1.
    """

    box: tuple[float, float, float, float]
    keypoints: np.ndarray
    score: float

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the box in pixels."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    @property
    def nose(self) -> np.ndarray:
        """The nose point (2,) in pixels, at which an ID patch is centred."""
        return self.keypoints[2]

    @property
    def eye_distance(self) -> float:
        """The distance between the eyes in pixels."""
        return float(np.linalg.norm(self.keypoints[1] - self.keypoints[0]))

    @property
    def area(self) -> float:
        width, height = self.size
        return width * height


class Detector(Protocol):
    def detect(self, image: np.ndarray) -> list[Face]: ...


class YuNet:
    """The face detector of the OpenCV Zoo, in-tree (Wu et al., "YuNet", MIR 2023).

    `file` may hold other weights of it. Raises ImportError if OpenCV is not installed.
    """

    def __init__(self, threshold: float = YUNET_THRESHOLD, file: Path = YUNET_FILE):
        cv2 = import_cv2()
        with _errors_only(cv2):
            self._network = _create_yunet(cv2, threshold, file)

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a picture (H, W, 3) uint8 RGB, the largest first."""
        check_picture(image)
        longer = max(image.shape[:2])
        faces = []
        for side in sorted({min(side, longer) for side in YUNET_SIDES}):
            faces += self._detect_at(image, side / longer)
        best = max((face.score for face in faces), default=0)
        faces = [face for face in faces if face.score > best - YUNET_DOUBT]
        return largest_first(without_doubles(faces))

    def _detect_at(self, image: np.ndarray, scale: float) -> list[Face]:
        cv2 = import_cv2()
        height, width = image.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # YuNet sees faces in a picture that is smaller than its own grid.
        right, bottom = max(YUNET_LEAST - size[0], 0), max(YUNET_LEAST - size[1], 0)
        if right or bottom:
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        self._network.setInputSize((size[0] + right, size[1] + bottom))
        rows = self._network.detect(np.ascontiguousarray(image[..., ::-1]))[1]
        to_picture = np.array([width / size[0], height / size[1]], np.float32)
        faces = []
        for row in [] if rows is None else rows:
            left, top = row[:2] * to_picture
            right, bottom = (row[:2] + row[2:4]) * to_picture
            box = (float(left), float(top), float(right), float(bottom))
            # YuNet's "right eye" is the person's own: the left one in the picture.
            faces.append(Face(box, row[4:14].reshape(5, 2) * to_picture, float(row[14])))
        return faces


@contextmanager
def _errors_only(cv2: Any) -> Iterator[None]:
    """Keep OpenCV 5 from warning that it ignores a setting of its own detector."""
    log = getattr(cv2.utils, "logging", None)
    if log is None:  # before OpenCV 4.9, which does not warn
        yield
        return
    level = log.setLogLevel(log.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _create_yunet(cv2: Any, threshold: float, file: Path) -> Any:
    settings = ("", (320, 320), threshold, SAME_FACE, 5000)
    try:
        # From memory, because on Windows OpenCV cannot open every path.
        weights = np.frombuffer(file.read_bytes(), np.uint8)
        empty = np.empty(0, np.uint8)
        return cv2.FaceDetectorYN.create("onnx", weights, empty, *settings[1:])
    except (cv2.error, TypeError):  # before OpenCV 4.9
        return cv2.FaceDetectorYN.create(str(file), *settings)


class InsightFace:
    """A face detector of insightface >= 2.0, from a directory of ONNX files such as antelopev2.

    `providers` are onnxruntime's, of which those are used that are available; by default CUDA and
    the CPU. Raises ImportError if insightface or onnxruntime is not installed, and ValueError if
    the directory holds no face detector with keypoints.
    """

    def __init__(self, directory: str | Path, providers: Sequence[str] | None = None):
        directory = Path(directory)
        if not any(directory.glob("*.onnx")):  # insightface would try to download it
            raise ValueError(
                f"detector: there are no .onnx files in {directory}. Unpack a model pack of "
                "insightface there, such as antelopev2 or buffalo_l."
            )
        try:
            import onnxruntime
            from insightface.app import FaceAnalysis
        except ImportError as error:
            raise ImportError(
                f"detector: insightface cannot be used ({error}). Install it with `pip install "
                '"insightface>=2.0" onnxruntime`, or onnxruntime-gpu for CUDA, but not both; or '
                "choose YuNet, which needs neither."
            ) from error

        available = onnxruntime.get_available_providers()
        wanted = providers or ("CUDAExecutionProvider", "CPUExecutionProvider")
        used = [name for name in wanted if name in available] or available
        try:
            analysis = FaceAnalysis(str(directory), allowed_modules=["detection"], providers=used)
        except AssertionError:
            raise ValueError(
                f"detector: none of the .onnx files in {directory} detects faces. Expected a "
                "model pack of insightface, with a file such as scrfd_10g_bnkps.onnx."
            ) from None
        except Exception as error:
            raise ValueError(
                f"detector: insightface cannot load {directory} ({_short(error)}). "
                "Unpack the model pack again."
            ) from error
        analysis.prepare(ctx_id=0, det_thresh=0.5, det_size=[(128, 128), (640, 640)])
        self._network = analysis.models["detection"]
        self._directory = directory

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a picture (H, W, 3) uint8 RGB, the largest first."""
        check_picture(image)
        rows, keypoints = self._network.detect(np.ascontiguousarray(image[..., ::-1]))
        if keypoints is None:
            raise ValueError(
                f"detector: the face detector in {self._directory} finds no keypoints, which "
                "alignment needs. Use one with keypoints (its name ends in bnkps or kps)."
            )
        faces = []
        for row, points in zip(rows, keypoints, strict=True):
            left, top, right, bottom, score = map(float, row)
            faces.append(Face((left, top, right, bottom), points.astype(np.float32), score))
        return largest_first(faces)


def load_detector(name: str | Path) -> Detector:
    """Return YuNet by its name or with the weights of an ONNX file, or a directory's insightface.

    Raises ValueError if there is no such file.
    """
    if name == YUNET:
        return YuNet()
    path = Path(name)
    if path.suffix != ".onnx":
        return InsightFace(path)
    if not path.is_file():
        raise ValueError(f"detector: there is no file {path}.")
    return YuNet(file=path)


def largest_first(faces: Sequence[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.area)


def left_to_right(faces: Sequence[Face]) -> list[Face]:
    """Sort by the noses, as the people of a pose are."""
    return sorted(faces, key=lambda face: float(face.nose[0]))


def choose_faces(faces: Sequence[Face], choice: str, index: int = 0) -> list[Face]:
    """Return the faces that were asked for.

    `choice` is one of CHOICES: the largest; everybody from left to right; the one with this index,
    counted from 0 on the left; all, the largest first. Raises ValueError if there is no such index.
    """
    if choice == LARGEST:
        return largest_first(faces)[:1]
    if choice == ALL:
        return largest_first(faces)
    ordered = left_to_right(faces)
    if choice == LEFT_TO_RIGHT:
        return ordered
    if choice != INDEX:
        raise ValueError(f"face: expected one of {', '.join(CHOICES)}, got {choice!r}.")
    if not 0 <= index < len(ordered):
        raise ValueError(
            f"index: there is no face {index}, {len(ordered)} found. They are counted from the "
            "left, and the first is 0."
        )
    return [ordered[index]]


def without_doubles(faces: Sequence[Face]) -> list[Face]:
    """Keep the best of the boxes that show the same face."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face, other) < SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _overlap(a: Face, b: Face) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    common = max(width, 0) * max(height, 0)
    return common / (a.area + b.area - common)


def check_picture(image: np.ndarray) -> None:
    """Raise a ValueError unless this is a picture (H, W, 3) uint8 that has pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}.")


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


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
