"""Finds the people of one training image and brings it to its size; no network of SDXL is needed.

People are those of the image's JSON. Faces without keypoints are detected, as are poses if asked
for.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..alignment import align_face
from ..face_detector import YUNET, Detector, Face, load_detector
from ..skeleton import Joint
from .pose_estimator import PoseEstimator, match_poses
from .rejection import RejectedImage, Rejection
from .resize_image import read_pixels, resize_image
from .sources import FACE_NOSE, AnnotatedPerson, Source, read_annotation


class PrepareOptions(NamedTuple):
    """Which images are used, and their size; all in pixels of the prepared image."""

    resolution: int = 1024  # side of a square image; others have its area. 0: unchanged
    multiple: int = 64  # both sides are multiples of it
    min_face_width: float = 32.0  # of the face's box
    max_people: int = 8
    max_aspect: float = 4.0  # of the original's long side to its short one
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

    def load_models(self) -> None:
        """Load the models; ValueError or ImportError if one cannot be."""
        _ = self.detector
        if self.options.poses:
            _ = self.pose_estimator

    def inspect(self, source: Source) -> PreparedImage | RejectedImage:
        """Return the image ready for the encoders, or why it is not used.

        Any error of an image is a reason not to use it: a set from the web has every kind.
        """
        try:
            return self._prepare(source)
        except Rejection as error:
            return RejectedImage(source.key, error.reason, error.detail)
        except Exception as error:
            return RejectedImage(source.key, "error", f"{type(error).__name__}: {error}")

    def _prepare(self, source: Source) -> PreparedImage:
        try:
            annotation = read_annotation(source.annotation)
        except ValueError as error:
            raise Rejection("wrong JSON", error) from error
        original = read_pixels(source.image.read(), self.options.max_aspect)
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
            np.stack([self._align(pixels, keypoints[i]) for i in used]),
        )

    def _align(self, pixels: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        try:
            return align_face(pixels, keypoints.astype(np.float32))
        except ValueError as error:
            raise Rejection("face not aligned", error) from error

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
