"""Looks for everybody at their place in a picture and scores what is there."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..alignment import align_face
from ..face_detector import Face
from ..layout import Point, is_inside
from . import metrics
from .assignment import FaceAssignment, cosine, faces_at_places, make_assignment
from .scorer import Scorer

Detect = Callable[[np.ndarray], list[Face]]


class Verdict(NamedTuple):
    """What one picture shows.

    `points` are the places in the picture's pixels (None: without a place), `found` the faces,
    `embeddings` (G, D) theirs, `assignment` who is where, `scorer` the name of the encoder and
    `threshold` the cosine from which a face counts as a person's.
    """

    names: tuple[str, ...]
    points: tuple[Point | None, ...]
    found: tuple[Face, ...]
    embeddings: np.ndarray
    assignment: FaceAssignment
    scorer: str
    threshold: float

    @property
    def all_right(self) -> bool:
        """Whether everybody who has a place stands there."""
        right = metrics.correct(self.assignment)
        return all(right[person] for person in self.assignment.placed_people)

    @property
    def scores(self) -> tuple[float, ...]:
        """The similarity of everybody with a place to the face there, from the weakest up.

        An empty place is -1, the smallest cosine. Of two pictures the better one has the larger
        weakest score; where that is equal the next one decides, as comparing these tuples does.
        """
        return tuple(
            sorted(
                -1.0
                if self.assignment.faces[person] is None
                else float(self.assignment.at_place(person)[person])
                for person in self.assignment.placed_people
            )
        )


def embed_faces(image: np.ndarray, faces: Sequence[Face], scorer: Scorer) -> np.ndarray:
    """Return the scorer's embedding of each face (G, D) of an image (H, W, 3) uint8 RGB."""
    if not faces:
        return np.zeros((0, 0), np.float32)
    return scorer.embed(np.stack([align_face(image, face.keypoints) for face in faces]))


def verify(
    image: np.ndarray,
    names: Sequence[str],
    references: np.ndarray,
    points: Sequence[Point | None] | None,
    detect: Detect,
    scorer: Scorer,
) -> Verdict:
    """Detect and recognise everybody in a picture (H, W, 3) uint8 RGB.

    `references` (F, D) are the people's embeddings by the same scorer; `points` their places in the
    picture's pixels, None where nobody's place is known. A point outside the picture is no place:
    no face can be there.
    """
    height, width = image.shape[:2]
    faces = detect(image)
    embeddings = embed_faces(image, faces, scorer)
    similarity = cosine(references, embeddings)
    places = [
        point if point is not None and is_inside(point, width, height) else None
        for point in (points if points is not None else [None] * len(names))
    ]
    noses = np.array([face.nose for face in faces]).reshape(-1, 2)
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    at = faces_at_places(places, noses, boxes)
    assignment = make_assignment(similarity, at, [place is not None for place in places])
    return Verdict(
        tuple(names),
        tuple(places),
        tuple(faces),
        embeddings,
        assignment,
        scorer.name,
        scorer.threshold,
    )


def describe_people(verdict: Verdict) -> list[dict[str, Any]]:
    """Return what became of each person, as JSON-ready dicts in their order."""
    assignment = verdict.assignment
    nearest, right = metrics.nearest(assignment), metrics.correct(assignment)
    surplus = metrics.duplicates(assignment, verdict.threshold)
    people = []
    for person, name in enumerate(verdict.names):
        face = assignment.faces[person]
        point = verdict.points[person]
        near = nearest[person]
        people.append(
            {
                "name": name,
                "place": None if point is None else [float(point[0]), float(point[1])],
                "box": None if face is None else [float(v) for v in verdict.found[face].box],
                "similarity": None if face is None else float(assignment.similarity[person, face]),
                "nearest": None if near is None else verdict.names[near],
                "right": right[person],
                "verdict": _verdict(verdict, person, right[person]),
                "surplus": surplus[person],
            }
        )
    return people


def _verdict(verdict: Verdict, person: int, right: bool) -> str:
    assignment = verdict.assignment
    if not assignment.expected[person]:
        return "no place"
    if right:
        return "right"
    if assignment.faces[person] is None:
        return "no face"
    near = metrics.nearest(assignment)[person]
    return "nobody's face" if near is None else f"looks like {verdict.names[near]}"


def to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the whole verdict as JSON-ready values; NaN as None."""
    assignment = verdict.assignment
    return {
        "scorer": verdict.scorer,
        "threshold": verdict.threshold,
        "all_right": verdict.all_right,
        "scores": list(verdict.scores),
        "people": describe_people(verdict),
        "faces": [
            {"box": [float(v) for v in face.box], "score": float(face.score)}
            for face in verdict.found
        ],
        "similarity": assignment.similarity.tolist(),
        "at_place": list(assignment.faces),
        "swaps": [[verdict.names[i] for i in group] for group in metrics.swaps(assignment)],
        "metrics": {
            name: _number(tally.value)
            for name, tally in metrics.tallies(assignment, verdict.threshold).items()
        },
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def to_text(verdict: Verdict, title: str = "Picture") -> str:
    """Return the verdict as lines to read."""
    assignment = verdict.assignment
    accuracy = metrics.association_accuracy(assignment)
    lines = [f"{title}: {accuracy.total:.0f} of {accuracy.count} people at their place"]
    for person in describe_people(verdict):
        mark = "-" if person["verdict"] == "no place" else "✓" if person["right"] else "✗"
        score = "" if person["similarity"] is None else f"  {person['similarity']:.3f}"
        again = f", {person['surplus']} more elsewhere" if person["surplus"] else ""
        lines.append(f"  {mark} {person['name']}{score}  {person['verdict']}{again}")
    for group in metrics.swaps(assignment):
        lines.append("  Swapped: " + ", ".join(verdict.names[i] for i in group))
    chance = metrics.chance_level(assignment)
    if accuracy.count:
        lines.append(f"  Association accuracy {accuracy.value:.0%} (chance {chance.value:.0%})")
    hungarian = metrics.hungarian_similarity(assignment).value
    similarity = metrics.face_similarity(assignment).value
    lines.append(f"  Face similarity {similarity:.3f}; Hungarian {hungarian:.3f} (blind to swaps)")
    lines.append(
        f"  Faces found {len(verdict.found)} for {len(verdict.names)} people; coverage "
        f"{metrics.coverage(assignment, verdict.threshold).value:.0%} from "
        f"{verdict.threshold:.2f} on"
    )
    return "\n".join(lines)
