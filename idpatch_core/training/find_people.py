"""Finds the people of one training image and brings it to its size; no network of SDXL is needed.

People are those of the image's JSON. Faces without keypoints are detected, as are poses if asked
for.
"""

import io
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..alignment import align_face
from ..face_detector import YUNET, Detector, Face, load_detector
from ..skeleton import Joint
from .data import FACE_NOSE
from .pose_estimator import PoseEstimator, match_poses
from .sources import AnnotatedPerson, Source, read_annotation


class PrepareOptions(NamedTuple):
    """Which images are used, and their size; all in pixels of the prepared image."""

    resolution: int = 1024  # side of a square image; others have its area. 0: unchanged
    multiple: int = 64  # both sides are multiples of it
    min_face_width: float = 32.0  # of the face's box
    max_people: int = 8
    detector: str = YUNET
    poses: str = ""  # rtmlib's models, see `PoseEstimator`; empty: the JSON's poses


class PreparedImage(NamedTuple):
    """An image ready for the encoders: pixels (H, W, 3) uint8 and F people, from left to right."""

    key: str
    caption: str
    pixels: np.ndarray
    time_ids: list[int]
    groups: list[str]
    keypoints: np.ndarray  # (F, 5, 2)
    boxes: np.ndarray  # (F, 4)
    poses: np.ndarray  # (N, 18, 3)
    crops: np.ndarray  # (F, 112, 112, 3) uint8


class RejectedImage(NamedTuple):
    """An image that is not used."""

    key: str
    reason: str  # counted in the report
    detail: str


class Rejection(Exception):
    """Raised with the reason and the detail of a `RejectedImage`."""

    def __init__(self, reason: str, detail: Any = ""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, str(detail)


class LocatedPerson(NamedTuple):
    """A person with a face: `box` (4), `keypoints` (5, 2) and `pose` (18, 3) or None."""

    group: str
    box: np.ndarray
    keypoints: np.ndarray
    pose: np.ndarray | None


class ImageInspector:
    """Reads images, finds their people and resizes them; the models load when first needed."""

    def __init__(self, options: PrepareOptions):
        self.options = options

    @cached_property
    def detector(self) -> Detector:
        return load_detector(self.options.detector)

    @cached_property
    def pose_estimator(self) -> PoseEstimator:
        return PoseEstimator(self.options.poses)

    def inspect(self, source: Source) -> PreparedImage | RejectedImage:
        """Return the image ready for the encoders, or why it is not used."""
        try:
            return self._prepare(source)
        except Rejection as error:
            return RejectedImage(source.key, error.reason, error.detail)

    def _prepare(self, source: Source) -> PreparedImage:
        try:
            annotation = read_annotation(source.annotation)
        except ValueError as error:
            raise Rejection("wrong JSON", error) from error
        original = read_image(source)
        people = self.find_people(original, annotation.people, source.key)
        if not people:
            raise Rejection("no face")
        if len(people) > self.options.max_people:
            maximum = self.options.max_people
            raise Rejection("too many people", f"{len(people)}, at most {maximum}")
        if self.options.poses:
            people = self.add_poses(original, people)
        pixels, scale, corner = resize_image(
            original, self.options.resolution, self.options.multiple
        )
        height, width = pixels.shape[:2]
        keypoints = np.stack([p.keypoints for p in people]) * scale - corner
        boxes = np.stack([p.box for p in people]) * scale - np.tile(corner, 2)
        used = self._choose_faces(keypoints, boxes, width, height)
        poses = [p.pose * [scale, scale, 1] - [*corner, 0] for p in people if p.pose is not None]
        top, left = round(float(corner[1])), round(float(corner[0]))
        return PreparedImage(
            source.key,
            annotation.caption,
            pixels,
            [*original.shape[:2], top, left, height, width],
            [people[i].group for i in used],
            keypoints[used].astype(np.float32),
            boxes[used].astype(np.float32),
            np.stack(poses) if poses else np.zeros((0, len(Joint), 3)),
            np.stack([align_face(pixels, keypoints[i].astype(np.float32)) for i in used]),
        )

    def find_people(
        self, pixels: np.ndarray, annotated: Sequence[AnnotatedPerson], key: str
    ) -> list[LocatedPerson]:
        """Return the annotated people, each with box and keypoints; or all faces if there are none.

        A person without a group gets one of their own. Raises Rejection if a person's face is
        not found.
        """
        faces: list[Face] = []
        if not annotated or any(person.keypoints is None for person in annotated):
            faces = self.detector.detect(pixels)
        if not annotated:
            annotated = [AnnotatedPerson(None, np.array(f.box), f.keypoints, None) for f in faces]
        people = []
        for number, person in enumerate(annotated, start=1):
            group = person.group or f"{key}#{number}"
            box, keypoints = person.box, person.keypoints
            if keypoints is None:
                face = match_face(person, faces)
                if face is None:
                    raise Rejection(
                        "face not found", f"person {number} ({group}): no face where the JSON says"
                    )
                box, keypoints = np.array(face.box), face.keypoints
            elif box is None:
                box = face_box(keypoints)
            people.append(LocatedPerson(group, box, keypoints, person.pose))
        return people

    def add_poses(self, pixels: np.ndarray, people: list[LocatedPerson]) -> list[LocatedPerson]:
        """Find the poses of people who have none; a person whose pose is not found keeps none."""
        if all(person.pose is not None for person in people):
            return people
        found = match_poses(self.pose_estimator.find(pixels), [person.box for person in people])
        return [
            person if person.pose is not None else person._replace(pose=pose)
            for person, pose in zip(people, found, strict=True)
        ]

    def _choose_faces(
        self, keypoints: np.ndarray, boxes: np.ndarray, width: int, height: int
    ) -> list[int]:
        """Return the indices of the faces inside the image, from left to right."""
        inside = np.all((keypoints >= 0) & (keypoints < [width, height]), axis=(1, 2))
        if not inside.any():
            raise Rejection("no face inside the cut", f"{width}x{height}")
        smallest = float((boxes[:, 2] - boxes[:, 0])[inside].min())
        minimum = self.options.min_face_width
        if smallest < minimum:  # leaving only the face out would keep a person without identity
            raise Rejection("face too small", f"{smallest:.0f} pixels, expected {minimum:.0f}")
        return [i for i in np.argsort(keypoints[:, FACE_NOSE, 0]) if inside[i]]


def read_image(source: Source) -> np.ndarray:
    """Read an image (H, W, 3) uint8 RGB, upright; Rejection if it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(source.image.read())))
        return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise Rejection("unreadable image", error) from error


def match_face(person: AnnotatedPerson, faces: Sequence[Face]) -> Face | None:
    """Return the face whose centre is in the person's box, or whose box has their pose's nose.

    A person without box and pose gets the image's only face.
    """
    for face in faces:
        x, y = np.mean(face.keypoints, axis=0)
        if person.box is not None:
            left, top, right, bottom = person.box
            if left <= x <= right and top <= y <= bottom:
                return face
        elif person.pose is not None and person.pose[Joint.NOSE, 2] > 0:
            left, top, right, bottom = face.box
            x, y, _ = person.pose[Joint.NOSE]
            if left <= x <= right and top <= y <= bottom:
                return face
        elif len(faces) == 1:
            return face
    return None


def face_box(keypoints: np.ndarray) -> np.ndarray:
    """Return a face's box (4), a square twice as large as the extent of its keypoints (5, 2)."""
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    centre, half = (low + high) / 2, (high - low).max()
    return np.concatenate([centre - half, centre + half])


def resize_image(
    pixels: np.ndarray, resolution: int, multiple: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """Scale an image to cover its new size and crop the rest; return it, the scale, the corner.

    The new size has the area of `resolution` squared and the image's aspect ratio, in multiples.
    With a resolution of 0 the image stays unchanged; Rejection if its sides are no multiples.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    if not resolution:
        if height % multiple or width % multiple:
            raise Rejection("size", f"{width}x{height} is not a multiple of {multiple}")
        return pixels, 1.0, np.zeros(2)
    aspect = (width / height) ** 0.5
    sides = resolution * aspect, resolution / aspect
    wide, tall = (max(round(side / multiple), 1) * multiple for side in sides)
    scale = max(wide / width, tall / height)
    size = max(round(width * scale), wide), max(round(height * scale), tall)
    scaled = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    return scaled[top : top + tall, left : left + wide], scale, np.array([left, top], float)
