"""Who is where in an image: which of its faces is at each person's placement.

Throughout, F people were asked for, G faces were found in the image, and `similarity` (F, G) is the
cosine of each person's reference with each face, both embedded by the scorer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Half an ID patch: a nose this near to a point, in pixels, always counts as being there.
MIN_REACH = 32.0


class FaceAssignment(NamedTuple):
    """Who is where in one image.

    `similarity` (F, G) is the cosine of each person's reference with each face; `face_indices` (F)
    the index of the face at each person's placement, None if there is none; `placed` (F) False for
    a person without a placement: not scored, but still a possible match for other faces.
    """

    similarity: np.ndarray
    face_indices: tuple[int | None, ...]
    placed: tuple[bool, ...]

    @property
    def placed_people(self) -> list[int]:
        """The people who have a placement."""
        return [person for person, placed in enumerate(self.placed) if placed]

    @property
    def detected_people(self) -> list[int]:
        """The people who have a face at their placement."""
        return [person for person in self.placed_people if self.face_indices[person] is not None]

    def similarity_at(self, person: int) -> np.ndarray:
        """Return the similarity of the face at a person's placement to each reference (F)."""
        return self.similarity[:, self.face_indices[person]]


def make_assignment(
    similarity: ArrayLike,
    face_indices: Sequence[int | None] | None = None,
    placed: Sequence[bool] | None = None,
) -> FaceAssignment:
    """Check an image's similarities (F, G) and face indices (F), and make their assignment.

    Without `face_indices` no placement is known: only metrics that need none are then defined.
    Raises ValueError if the shapes do not match or an index is out of range.
    """
    matrix = np.asarray(similarity, np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"similarity: expected people by faces, got the shape {matrix.shape}.")
    people, faces = matrix.shape
    if not np.isfinite(matrix).all():
        raise ValueError("similarity: it holds NaN or infinite values.")
    indices = (None,) * people if face_indices is None else tuple(face_indices)
    flags = (face_indices is not None,) * people if placed is None else tuple(placed)
    if not len(indices) == len(flags) == people:
        raise ValueError(
            f"face_indices, placed: expected one entry for each person ({people}), got "
            f"{len(indices)} and {len(flags)}."
        )
    given = [index for index in indices if index is not None]
    if any(not 0 <= index < faces for index in given) or len(set(given)) < len(given):
        raise ValueError(
            f"face_indices: expected different indices below {faces}, got {list(indices)}."
        )
    return FaceAssignment(matrix, indices, flags)


def cosine(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Return cos(a_i, b_j) as (N, M) for embeddings (N, D) and (M, D) of any length but zero."""
    a, b = (np.atleast_2d(np.asarray(x, np.float64)) for x in (a, b))
    if not (a.size and b.size):
        return np.zeros((len(a) if a.size else 0, len(b) if b.size else 0))
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    if not all(((length > 0) & np.isfinite(length)).all() for length in lengths):
        raise ValueError("An embedding is zero or not finite: it has no direction to compare.")
    return np.clip((a / lengths[0]) @ (b / lengths[1]).T, -1.0, 1.0)


def assign_faces(
    points: Sequence[tuple[float, float] | None],
    noses: ArrayLike,
    boxes: ArrayLike,
    min_reach: float = MIN_REACH,
) -> list[int | None]:
    """Return the index of the face at each person's point, or None.

    `points` in pixels, None for a person without a placement; `noses` (G, 2) and `boxes` (G, 4) as
    x0, y0, x1, y1. A face can be assigned to a point if its nose is at most half its box's diagonal
    away (the point lies on the face), or at most `min_reach` pixels. Of all one-to-one assignments,
    the one with the most faces is chosen, and among those the one with the smallest sum of
    distances (Hungarian method).
    """
    from scipy.optimize import linear_sum_assignment

    noses, boxes = np.reshape(noses, (-1, 2)).astype(float), np.reshape(boxes, (-1, 4))
    placed = [i for i, point in enumerate(points) if point is not None]
    face_indices: list[int | None] = [None] * len(points)
    if not placed or not len(noses):
        return face_indices
    targets = np.array([points[i] for i in placed], float)  # (P, 2)
    distance = np.linalg.norm(targets[:, None] - noses[None], axis=2)  # (P, G)
    size = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    possible = distance <= np.maximum(size / 2, min_reach)
    # One impossible pair costs more than all possible ones together.
    impossible = 1.0 + distance[possible].sum()
    rows, columns = linear_sum_assignment(np.where(possible, distance, impossible))
    for row, column in zip(rows, columns, strict=True):
        if possible[row, column]:
            face_indices[placed[row]] = int(column)
    return face_indices
