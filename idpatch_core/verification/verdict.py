"""Checks an image: is each person at their placement, and do they resemble their reference?"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..alignment import align_face
from ..face_detector import Face
from ..layout import Point, count_people, is_inside
from . import metrics
from .assignment import FaceAssignment, assign_faces, cosine, make_assignment
from .scorer import FaceScorer

Detect = Callable[[np.ndarray], list[Face]]


class Verdict(NamedTuple):
    """The findings on one image.

    `points` are the people's placements in the image's pixels, None without one; `faces` the G
    detected faces and `embeddings` (G, D) theirs; `assignment` who is where; `scorer` the scorer's
    name and `threshold` the cosine from which two faces count as one person.
    """

    names: tuple[str, ...]
    points: tuple[Point | None, ...]
    faces: tuple[Face, ...]
    embeddings: np.ndarray
    assignment: FaceAssignment
    scorer: str
    threshold: float

    @property
    def all_correct(self) -> bool:
        """Whether each person with a placement appears there."""
        correct = metrics.correctness(self.assignment)
        return all(correct[person] for person in self.assignment.placed_people)

    @property
    def scores(self) -> tuple[float, ...]:
        """The similarity of each placed person to the face at their placement, ascending.

        A missing face is -1, the smallest cosine. To rank images, compare these tuples: the least
        similar person decides first, then the next.
        """
        return tuple(
            sorted(
                -1.0
                if self.assignment.face_indices[person] is None
                else float(self.assignment.similarity_at(person)[person])
                for person in self.assignment.placed_people
            )
        )


def embed_faces(image: np.ndarray, faces: Sequence[Face], scorer: FaceScorer) -> np.ndarray:
    """Return the scorer's embedding of each face (G, D) of an image (H, W, 3) uint8 RGB."""
    if not faces:
        return np.zeros((0, 0), np.float32)
    return scorer.embed(np.stack([align_face(image, face.keypoints) for face in faces]))


def verify_image(
    image: np.ndarray,
    names: Sequence[str],
    references: np.ndarray,
    points: Sequence[Point | None] | None,
    detect: Detect,
    scorer: FaceScorer,
) -> Verdict:
    """Find the faces of an image (H, W, 3) uint8 RGB and compare them with the references.

    `references` (F, D) are the people's embeddings by the same scorer; `points` their placements in
    the image's pixels, None if no placement is known. A point outside the image counts as no
    placement, because no face can be there.
    """
    height, width = image.shape[:2]
    faces = detect(image)
    embeddings = embed_faces(image, faces, scorer)
    similarity = cosine(references, embeddings)
    inside = [
        point if point is not None and is_inside(point, width, height) else None
        for point in (points if points is not None else [None] * len(names))
    ]
    noses = np.array([face.nose for face in faces]).reshape(-1, 2)
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    face_indices = assign_faces(inside, noses, boxes)
    placed = [point is not None for point in inside]
    assignment = make_assignment(similarity, face_indices, placed)
    return Verdict(
        tuple(names),
        tuple(inside),
        tuple(faces),
        embeddings,
        assignment,
        scorer.name,
        scorer.threshold,
    )


def describe_people(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the findings on each person, as JSON-ready dicts in their order."""
    assignment = verdict.assignment
    nearest, correct = metrics.nearest_people(assignment), metrics.correctness(assignment)
    duplicates = metrics.count_duplicates(assignment, verdict.threshold)
    people = []
    for person, name in enumerate(verdict.names):
        face = assignment.face_indices[person]
        point = verdict.points[person]
        closest = nearest[person]
        people.append(
            {
                "name": name,
                "point": None if point is None else [float(point[0]), float(point[1])],
                "box": None if face is None else [float(v) for v in verdict.faces[face].box],
                "similarity": None if face is None else float(assignment.similarity[person, face]),
                "nearest": None if closest is None else verdict.names[closest],
                "correct": correct[person],
                "verdict": _describe(verdict, person, correct[person], closest),
                "duplicates": duplicates[person],
            }
        )
    return people


def _describe(verdict: Verdict, person: int, correct: bool, nearest: int | None) -> str:
    if not verdict.assignment.placed[person]:
        return "no placement"
    if correct:
        return "correct"
    if verdict.assignment.face_indices[person] is None:
        return "no face"
    return "ambiguous face" if nearest is None else f"resembles {verdict.names[nearest]}"


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON-ready values; NaN as None."""
    assignment = verdict.assignment
    return {
        "scorer": verdict.scorer,
        "threshold": verdict.threshold,
        "all_correct": verdict.all_correct,
        "scores": list(verdict.scores),
        "people": describe_people(verdict),
        "faces": [
            {"box": [float(v) for v in face.box], "score": float(face.score)}
            for face in verdict.faces
        ],
        "similarity": assignment.similarity.tolist(),
        "face_indices": list(assignment.face_indices),
        "swaps": [[verdict.names[i] for i in group] for group in metrics.find_swaps(assignment)],
        "metrics": {
            name: tally.value if np.isfinite(tally.value) else None
            for name, tally in metrics.compute_tallies(assignment, verdict.threshold).items()
        },
    }


def verdict_to_text(verdict: Verdict, title: str = "Image") -> str:
    """Return the verdict as lines of text."""
    assignment = verdict.assignment
    accuracy = metrics.association_accuracy(assignment)
    lines = [
        f"{title}: {accuracy.total:.0f} of {count_people(int(accuracy.count))} at their placement"
    ]
    for person in describe_people(verdict):
        mark = "-" if person["point"] is None else "✓" if person["correct"] else "✗"
        score = "" if person["similarity"] is None else f"  {person['similarity']:.3f}"
        again = f", {person['duplicates']} more elsewhere" if person["duplicates"] else ""
        lines.append(f"  {mark} {person['name']}{score}  {person['verdict']}{again}")
    for group in metrics.find_swaps(assignment):
        lines.append("  Swapped: " + ", ".join(verdict.names[i] for i in group))
    if accuracy.count:
        lines.append(f"  Face similarity {metrics.face_similarity(assignment).value:.3f}")
    lines.append(f"  Faces found: {len(verdict.faces)} for {count_people(len(verdict.names))}")
    return "\n".join(lines)
