"""Who is where in an image: which of its faces is at each person's placement.

Throughout, F people were asked for, G faces were found in the image, and `similarity` (F, G) is the
cosine of each person's reference with each face, both embedded by the scorer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

REACH = 32.0  # half an ID patch: a nose this near to a point, in pixels, is always at its place


class FaceAssignment(NamedTuple):
    """One picture as the metrics see it.

    `similarity` (F, G) cosine of each person's reference with each face found; `faces` (F) the
    index of the face at each person's place, None where there is none; `expected` (F) False for
    a person without a place (taken off the canvas), who is nobody's failure but whom the other
    faces may still resemble.
    """

    similarity: np.ndarray
    faces: tuple[int | None, ...]
    expected: tuple[bool, ...]

    @property
    def placed_people(self) -> list[int]:
        """The people who have a place."""
        return [person for person, expected in enumerate(self.expected) if expected]

    @property
    def filled(self) -> list[int]:
        """The people at whose place there is a face."""
        return [person for person in self.placed_people if self.faces[person] is not None]

    def at_place(self, person: int) -> np.ndarray:
        """Return the similarity of the face at a person's place to every reference (F)."""
        return self.similarity[:, self.faces[person]]


def make_assignment(
    similarity: ArrayLike,
    faces: Sequence[int | None] | None = None,
    expected: Sequence[bool] | None = None,
) -> FaceAssignment:
    """Check and collect a picture's similarities (F, G) and the face at each place (F).

    Without `faces` nobody's place is known: only the metrics that need none are then defined.
    Raises ValueError on shapes that do not belong together or an index of no face.
    """
    matrix = np.asarray(similarity, np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"similarity: expected people by faces, got the shape {matrix.shape}.")
    people, found = matrix.shape
    if not np.isfinite(matrix).all():
        raise ValueError("similarity: it holds NaN or infinite values.")
    at = (None,) * people if faces is None else tuple(faces)
    having = (faces is not None,) * people if expected is None else tuple(expected)
    if not len(at) == len(having) == people:
        raise ValueError(f"faces: expected one entry for each of {people} people.")
    taken = [face for face in at if face is not None]
    if any(not 0 <= face < found for face in taken) or len(set(taken)) < len(taken):
        raise ValueError(f"faces: expected different indices below {found}, got {at}.")
    return FaceAssignment(matrix, at, having)


def cosine(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Return cos(a_i, b_j) as (N, M) for embeddings (N, D) and (M, D) of any length but zero."""
    a, b = (np.atleast_2d(np.asarray(x, np.float64)) for x in (a, b))
    if not (a.size and b.size):
        return np.zeros((len(a) if a.size else 0, len(b) if b.size else 0))
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    if not all(((length > 0) & np.isfinite(length)).all() for length in lengths):
        raise ValueError("An embedding is zero or not finite: it has no direction to compare.")
    return np.clip((a / lengths[0]) @ (b / lengths[1]).T, -1.0, 1.0)


def faces_at_places(
    points: Sequence[tuple[float, float] | None],
    noses: ArrayLike,
    boxes: ArrayLike,
    reach: float = REACH,
) -> list[int | None]:
    """Return for each place the index of the face there, or None.

    `points` in pixels, None for a person without a place; `noses` (G, 2) and `boxes` (G, 4) as
    x0, y0, x1, y1. A face can stand at a place when its nose is at most half its box's diagonal
    from the point (the point lies on the face), or at most `reach` pixels. Of all ways to give each
    place at most one face and each face at most one place, the one with most faces placed wins, and
    among those the one with the smallest sum of distances (Hungarian method).
    """
    from scipy.optimize import linear_sum_assignment

    noses, boxes = np.reshape(noses, (-1, 2)).astype(float), np.reshape(boxes, (-1, 4))
    placed = [i for i, point in enumerate(points) if point is not None]
    found: list[int | None] = [None] * len(points)
    if not placed or not len(noses):
        return found
    places = np.array([points[i] for i in placed], float)  # (P, 2)
    distance = np.linalg.norm(places[:, None] - noses[None], axis=2)  # (P, G)
    size = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    possible = distance <= np.maximum(size / 2, reach)
    # One impossible pair costs more than all possible ones together.
    impossible = 1.0 + distance[possible].sum()
    rows, columns = linear_sum_assignment(np.where(possible, distance, impossible))
    for row, column in zip(rows, columns, strict=True):
        if possible[row, column]:
            found[placed[row]] = int(column)
    return found
