"""Finds the faces in an image: box, five keypoints, score.

YuNet comes with the pack and runs in OpenCV. InsightFace runs the user's own detectors.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .opencv import check_image, import_cv2

YUNET = "yunet"
YUNET_FILE = Path(__file__).parent / "data" / "face_detection_yunet_fp32.onnx"
# YuNet works best on faces 16 to 384 pixels wide. Each image is searched at two sizes (longer side
# in pixels): the first for small faces, the second for faces that fill the image.
YUNET_SIDES = (1280, 320)
YUNET_MIN_SIDE = 64
# Drawn faces score from 0.6, but tiles and flames reach 0.7: drop detections that score more than
# the margin below the best one.
YUNET_THRESHOLD, YUNET_SCORE_MARGIN = 0.6, 0.2
SAME_FACE_OVERLAP = 0.3  # intersection over union from which two boxes show one face

LARGEST_FACE, FACES_LEFT_TO_RIGHT = "largest", "left_to_right"
FACE_AT_INDEX, ALL_FACES = "index", "all"
FACE_CHOICES = (LARGEST_FACE, FACES_LEFT_TO_RIGHT, FACE_AT_INDEX, ALL_FACES)


class Face(NamedTuple):
    """A face in an image.

    `box` is left, top, right, bottom in pixels; `keypoints` (5, 2) float32 pixels in the order
    left eye, right eye (as seen in the image), nose, left and right corner of the mouth;
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
    """The bundled face detector of the OpenCV Zoo (Wu et al., "YuNet", MIR 2023).

    `file` may hold other weights for it. Raises ImportError if OpenCV is not installed.
    """

    def __init__(self, threshold: float = YUNET_THRESHOLD, file: Path = YUNET_FILE):
        cv2 = import_cv2()
        with _errors_only(cv2):
            self._network = _create_yunet(cv2, threshold, file)

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in an image (H, W, 3) uint8 RGB, the largest first."""
        check_image(image)
        longer = max(image.shape[:2])
        faces = []
        for side in sorted({min(side, longer) for side in YUNET_SIDES}):
            faces += self._detect_at(image, side / longer)
        best = max((face.score for face in faces), default=0)
        faces = [face for face in faces if face.score > best - YUNET_SCORE_MARGIN]
        return sort_largest_first(remove_duplicates(faces))

    def _detect_at(self, image: np.ndarray, scale: float) -> list[Face]:
        cv2 = import_cv2()
        height, width = image.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # YuNet reports false faces in an image that is smaller than its own grid.
        right, bottom = max(YUNET_MIN_SIDE - size[0], 0), max(YUNET_MIN_SIDE - size[1], 0)
        if right or bottom:
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        self._network.setInputSize((size[0] + right, size[1] + bottom))
        rows = self._network.detect(np.ascontiguousarray(image[..., ::-1]))[1]
        to_image = np.array([width / size[0], height / size[1]], np.float32)
        faces = []
        for row in [] if rows is None else rows:
            left, top = row[:2] * to_image
            right, bottom = (row[:2] + row[2:4]) * to_image
            box = (float(left), float(top), float(right), float(bottom))
            # YuNet's "right eye" is the person's own: the left one in the image.
            faces.append(Face(box, row[4:14].reshape(5, 2) * to_image, float(row[14])))
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
    settings = ("", (320, 320), threshold, SAME_FACE_OVERLAP, 5000)
    try:
        # From memory, because on Windows OpenCV cannot open every path.
        weights = np.frombuffer(file.read_bytes(), np.uint8)
        empty = np.empty(0, np.uint8)
        return cv2.FaceDetectorYN.create("onnx", weights, empty, *settings[1:])
    except (cv2.error, TypeError):  # before OpenCV 4.9
        return cv2.FaceDetectorYN.create(str(file), *settings)


class InsightFace:
    """A face detector of insightface >= 2.0, from a directory of ONNX files such as
    antelopev2.

    `providers` are onnxruntime's, by default CUDA and the CPU; those that are available are used.
    Raises ImportError if insightface or onnxruntime is not installed, and ValueError if
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
                "choose yunet, which needs neither."
            ) from error

        available = onnxruntime.get_available_providers()
        preferred = providers or ("CUDAExecutionProvider", "CPUExecutionProvider")
        used = [name for name in preferred if name in available] or available
        try:
            analysis = FaceAnalysis(str(directory), allowed_modules=["detection"], providers=used)
        except AssertionError:
            raise ValueError(
                f"detector: none of the .onnx files in {directory} detects faces. Expected a "
                "model pack of insightface, with a file such as scrfd_10g_bnkps.onnx."
            ) from None
        except Exception as error:
            raise ValueError(
                f"detector: insightface cannot load {directory} ({shorten_error(error)}). "
                "Unpack the model pack again."
            ) from error
        analysis.prepare(ctx_id=0, det_thresh=0.5, det_size=[(128, 128), (640, 640)])
        self._network = analysis.models["detection"]
        self._directory = directory

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in an image (H, W, 3) uint8 RGB, the largest first."""
        check_image(image)
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
        return sort_largest_first(faces)


def load_detector(name: str | Path) -> Detector:
    """Load a detector: "yunet", an ONNX file of YuNet's weights, or a directory of insightface.

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


def sort_largest_first(faces: Sequence[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.area)


def sort_left_to_right(faces: Sequence[Face]) -> list[Face]:
    """Sort by the x of the noses, as the people of a pose are."""
    return sorted(faces, key=lambda face: float(face.nose[0]))


def choose_faces(faces: Sequence[Face], choice: str, index: int = 0) -> list[Face]:
    """Select faces by `choice`.

    `largest`: the largest one; `left_to_right`: all, by position; `index`: the one at `index`,
    counted from 0 on the left; `all`: all, the largest first. Raises ValueError for another choice
    or an index that does not exist.
    """
    if choice == LARGEST_FACE:
        return sort_largest_first(faces)[:1]
    if choice == ALL_FACES:
        return sort_largest_first(faces)
    ordered = sort_left_to_right(faces)
    if choice == FACES_LEFT_TO_RIGHT:
        return ordered
    if choice != FACE_AT_INDEX:
        raise ValueError(f"face: expected one of {', '.join(FACE_CHOICES)}, got {choice!r}.")
    if not 0 <= index < len(ordered):
        raise ValueError(
            f"index: there is no face {index}, {len(ordered)} found. Faces are counted from the "
            "left; the first is 0."
        )
    return [ordered[index]]


def remove_duplicates(faces: Sequence[Face]) -> list[Face]:
    """Keep the best-scoring of the boxes that show the same face."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face, other) < SAME_FACE_OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(a: Face, b: Face) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    common = max(width, 0) * max(height, 0)
    return common / (a.area + b.area - common)


def shorten_error(error: Exception) -> str:
    """Return an error's message on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]
