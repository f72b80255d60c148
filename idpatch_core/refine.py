"""Whom to refine in a finished image, whether the result resembles them more, and the report."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .alignment import align_face
from .face_detector import Face
from .head_crops import CroppedHead
from .layout import Point, count_people, join_names
from .verification.assignment import assign_faces, cosine

ALL_PEOPLE, SMALL_FACES, FAILED, NAMED = "all", "small_faces", "failed", "named"
PEOPLE_CHOICES = [ALL_PEOPLE, SMALL_FACES, FAILED, NAMED]
IF_BETTER, ALWAYS = "if_better", "always"
KEEP_CHOICES = [IF_BETTER, ALWAYS]


class FaceCheck(NamedTuple):
    """Finds faces and compares them with the people, whose embeddings are `references` (F, D)."""

    detect: Callable[[np.ndarray], list[Face]]
    embed: Callable[[np.ndarray], np.ndarray]
    references: np.ndarray

    def compare(self, image: np.ndarray, point: Point) -> np.ndarray | None:
        """Return the cosine of each person (F,) with the face at a point of an image.

        `image` (H, W, 3) uint8 RGB. None if no face is there.
        """
        faces = self.detect(image)
        noses, boxes = [face.nose for face in faces], [face.box for face in faces]
        (index,) = assign_faces([point], noses, boxes, min_reach=0)
        if index is None:
            return None
        crop = align_face(image, faces[index].keypoints)
        return cosine(self.references, self.embed(crop[None]))[:, 0]


class Refinement(NamedTuple):
    """What became of one person in one image.

    `before` and `after` are the similarities to the person, None without a face; `kept` is whether
    the image shows the refined head.
    """

    image: int
    name: str
    before: float | None
    after: float | None
    kept: bool


def choose_people(
    choice: str,
    names: Sequence[str],
    heads: Sequence[CroppedHead | None],
    wanted: Sequence[str],
    share: float,
    shorter_side: int,
    is_right: Callable[[int], bool],
) -> list[int]:
    """Return the indices of the people of an image to refine, the largest head first.

    `choice` is one of PEOPLE_CHOICES: those in `wanted` for NAMED, those whose face is narrower
    than `share` times the image's shorter side for SMALL_FACES, and those of whom `is_right` is
    false for FAILED. People without a head in the image are left out.
    """

    def is_chosen(person: int, head: CroppedHead) -> bool:
        if choice == NAMED:
            return names[person] in wanted
        if choice == SMALL_FACES:
            return head.face_width < share * shorter_side
        return choice == ALL_PEOPLE or not is_right(person)

    chosen = [
        (head.eye_distance, person)
        for person, head in enumerate(heads)
        if head is not None and is_chosen(person, head)
    ]
    return [person for _, person in sorted(chosen, key=lambda pair: (-pair[0], pair[1]))]


def check_names_to_refine(
    wanted: Sequence[str], names: Sequence[str], points: Sequence[Point | None]
) -> None:
    """Raise a ValueError unless someone is named, and each of them has a placement."""
    if not wanted:
        raise ValueError(
            f"names: it is empty, but people is {NAMED}. Name one or more of "
            f"{join_names(names)}, separated by commas, or set people to {ALL_PEOPLE}."
        )
    for name in wanted:
        if name not in names:
            raise ValueError(f"names: {name} is not one of {join_names(names)}.")
        if all(points[person] is None for person, own in enumerate(names) if own == name):
            raise ValueError(
                f"names: {name} has no placement in id_hint, so there is no head to refine. Place "
                "the person in the Patch Placer."
            )


def is_right(similarity: np.ndarray | None, person: int) -> bool:
    """Tell whether a face resembles this person most, by its cosine with each person (F,)."""
    return similarity is not None and int(np.argmax(similarity)) == person


def is_better(before: float | None, after: float | None) -> bool:
    """Tell whether a refined face resembles its person more; no face is the worst."""
    return after is not None and (before is None or after > before)


def describe_refinements(refinements: Sequence[Refinement], images: int) -> str:
    """Return what became of each person as lines of text."""
    if not refinements:
        return "No one was refined: no one in the image is chosen by people. The image is the same."
    kept = sum(refinement.kept for refinement in refinements)
    lines = [f"{count_people(kept)} refined of {len(refinements)} chosen."]
    for refinement in refinements:
        where = f"Image {refinement.image + 1}, " if images > 1 else ""
        scores = f"{_format(refinement.before)} -> {_format(refinement.after)}"
        outcome = "refined" if refinement.kept else "kept as before: the new face is no better"
        lines.append(f"  {where}{refinement.name}  {scores}  {outcome}")
    return "\n".join(lines)


def _format(similarity: float | None) -> str:
    return "no face" if similarity is None else f"{similarity:.3f}"
