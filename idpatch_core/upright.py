"""Faces that are not upright in the image: photos turned by a phone, people lying down.

Detectors find a face in any direction, but place the eyes as if it were upright: its aligned crop
then shows the face turned. An upright face scores best, so each is looked at in several turns.
"""

import math
from collections.abc import Sequence

import numpy as np

from .face_detector import Detector, Face, sort_largest_first
from .opencv import import_cv2

QUARTER_TURNS = (90, 180, 270)  # degrees, anticlockwise
TILTS = (30, 330)  # the next to upright; a larger one is clear of an upright face
ALL_TURNS = tuple(range(30, 360, 30))
# Another turn is right only if its score lacks at most this share of what the upright one lacks
# to 1: an upright face that is partly hidden scores little in each turn.
BETTER, BETTER_TILT, MUCH_BETTER = 0.85, 0.8, 0.5
CERTAIN, CERTAIN_TILT = 0.85, 0.91  # scores that an upright face reaches, and a drawing seldom
SURELY_UPRIGHT = 0.92  # of a photo: faces upside down reach 0.91
DOUBTFUL_SCORE = 0.8  # below it the image is searched in other turns too
PATCH_SIDE, FACE_SHARE = 256, 0.5  # of the part of the image that is turned, in pixels


def detect_turned(detector: Detector, image: np.ndarray) -> list[Face]:
    """Return the faces of an image (H, W, 3) uint8 RGB, or those that show if it is turned.

    It is turned only where no face is found, or none but doubtful ones. The points are in the
    pixels of the image as given.
    """
    faces = detector.detect(image)
    best = max((face.score for face in faces), default=0.0)
    if best >= DOUBTFUL_SCORE:
        return faces
    for degrees in QUARTER_TURNS:
        turned = [turn_back(face, degrees, image) for face in detector.detect(turn(image, degrees))]
        score = max((face.score for face in turned), default=0.0)
        if 1 - score < (MUCH_BETTER * (1 - best) if faces else 1 - best):
            faces, best = turned, score
    return faces


def detect_people(detector: Detector, image: np.ndarray, people: int) -> list[Face]:
    """Return the faces of an image (H, W, 3) uint8 RGB that should show `people`, largest first.

    Only if fewer are surely upright, each other face gets the keypoints that it has upright; only
    if there are fewer faces at all, those that show in the turned image are added. Boxes and points
    are in the pixels of the image as given.
    """
    faces = detector.detect(image)
    if sum(face.score >= SURELY_UPRIGHT for face in faces) >= people:
        return faces
    kept = [face for face in faces if face.score >= SURELY_UPRIGHT]
    for face in (face for face in faces if face.score < SURELY_UPRIGHT):
        upright = make_upright(detector, image, face)
        if upright.score < SURELY_UPRIGHT:  # a drawing may score a little better turned
            kept.append(face)
        elif not any(_is_same(upright, other) for other in kept):
            kept.append(upright)
    if len(kept) < people:
        turned = [
            turn_back(face, degrees, image)
            for degrees in QUARTER_TURNS
            for face in detector.detect(turn(image, degrees))
            if face.score >= CERTAIN
        ]
        for face in sorted(turned, key=lambda face: -face.score):
            if not any(_is_same(face, other) for other in kept):
                kept.append(make_upright(detector, image, face))
    return sort_largest_first(kept)


def _is_same(face: Face, other: Face) -> bool:
    """Tell whether two faces are one, found in two turns, whose boxes may differ much."""
    distance = math.dist(face.keypoints.mean(0), other.keypoints.mean(0))
    return distance < max(face.eye_distance, other.eye_distance)


def turn(image: np.ndarray, degrees: int) -> np.ndarray:
    """Return an image turned by quarter turns anticlockwise."""
    return np.ascontiguousarray(np.rot90(image, degrees // 90))


def turn_back(face: Face, degrees: int, image: np.ndarray) -> Face:
    """Return a face of `turn(image, degrees)` in the pixels of the image."""
    height, width = image.shape[:2]
    matrix = {
        90: [[0, -1, width - 1], [1, 0, 0]],
        180: [[-1, 0, width - 1], [0, -1, height - 1]],
        270: [[0, 1, 0], [-1, 0, height - 1]],
    }[degrees]
    return map_face(face, np.array(matrix, np.float64))


def map_face(face: Face, matrix: np.ndarray) -> Face:
    """Return a face with its points mapped by a matrix (2, 3); the box encloses the mapped one."""
    left, top, right, bottom = face.box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    keypoints = face.keypoints @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return Face((left, top, right, bottom), keypoints.astype(np.float32), face.score)


def make_upright(detector: Detector, image: np.ndarray, face: Face) -> Face:
    """Return the face with the keypoints that it has where it is upright.

    The face itself is returned if no other turn scores clearly better.
    """
    looks: dict[int, Face] = {0: face}
    _look_at(looks, detector, image, face, (0, *QUARTER_TURNS, *TILTS))
    if max(looks, key=lambda degrees: looks[degrees].score):
        _look_at(looks, detector, image, face, ALL_TURNS)
    # Of both looks at the face as it is: cut out and enlarged, a small drawing scores far less.
    missing = 1 - max(face.score, looks[0].score)
    better = [
        look
        for degrees, look in looks.items()
        if look.score >= (CERTAIN_TILT if degrees in TILTS else CERTAIN)
        and 1 - look.score < missing * (BETTER_TILT if degrees in TILTS else BETTER)
    ]
    if not better:
        return face
    return max(better, key=lambda look: look.score)._replace(box=face.box)


def _look_at(
    looks: dict[int, Face],
    detector: Detector,
    image: np.ndarray,
    face: Face,
    turns: Sequence[int],
) -> None:
    """Add what the detector makes of a face in these turns of the image, where it finds it."""
    for degrees in turns:
        if degrees in looks and degrees:
            continue
        look = _look(detector, image, face, degrees)
        if look is not None:
            looks[degrees] = look


def _look(detector: Detector, image: np.ndarray, face: Face, degrees: int) -> Face | None:
    """Return what the detector makes of a face if the image is turned about it, or None."""
    cv2 = import_cv2()
    left, top, right, bottom = face.box
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    scale = FACE_SHARE * PATCH_SIDE / max(face.size)
    matrix = cv2.getRotationMatrix2D(centre.tolist(), degrees, scale)
    matrix[:, 2] += PATCH_SIDE / 2 - centre
    patch = cv2.warpAffine(image, matrix, (PATCH_SIDE, PATCH_SIDE), flags=cv2.INTER_AREA)
    found = detector.detect(patch)
    if not found:
        return None
    middle = PATCH_SIDE / 2
    nearest = min(found, key=lambda one: math.dist(one.keypoints.mean(0), (middle, middle)))
    if math.dist(nearest.keypoints.mean(0), (middle, middle)) > FACE_SHARE * PATCH_SIDE / 2:
        return None
    return map_face(nearest, cv2.invertAffineTransform(matrix))
