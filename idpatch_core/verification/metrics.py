"""Identity and placement metrics of an image, computed from its `FaceAssignment`.

Sources: ID-Patch (arXiv 2411.13632) for face similarity and ID-position association;
MultiHuman-Testbench (arXiv 2506.20879, benchmarking/compute_scores.py) for Hungarian similarity and
counts; WithAnyone (arXiv 2510.14975, MultiID-Bench/metrics/arcface_metric.py) for copy-paste and
the similarity to the others.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .assignment import FaceAssignment, cosine
from .tally import Tally

DEFAULT_THRESHOLD = 0.35  # cosine from which two faces count as one person
TIE_TOLERANCE = 1e-6  # two similarities closer than this are equal: the noise of float32 embeddings
MIN_ANGLE = 1e-6  # radians; the lower bound of WithAnyone's copy-paste score


def nearest_people(assignment: FaceAssignment) -> list[int | None]:
    """Return the person whom the face at each placement resembles most.

    None without a face, and for a tie: a face equally similar to two people is neither.
    """
    return [
        _only_largest(assignment.similarity_at(person))
        if assignment.face_indices[person] is not None
        else None
        for person in range(len(assignment.face_indices))
    ]


def _only_largest(similarity: np.ndarray) -> int | None:
    values = similarity.tolist()  # a few numbers: NumPy would take longer
    best = max(range(len(values)), key=values.__getitem__)
    others = values[:best] + values[best + 1 :]
    return best if not others or values[best] - max(others) > TIE_TOLERANCE else None


def correctness(assignment: FaceAssignment) -> list[bool]:
    """Return for each person whether the face at their placement resembles them most."""
    return [
        placed and nearest == person
        for person, (nearest, placed) in enumerate(
            zip(nearest_people(assignment), assignment.placed, strict=True)
        )
    ]


def association_accuracy(assignment: FaceAssignment) -> Tally:
    """Return the share of placements where argmax_k cos(face at i, reference k) = i.

    A placement without a face is a failure. Source: ID-Patch, section 4 (ID-Pos Acc).
    """
    return Tally(sum(correctness(assignment)), len(assignment.placed_people))


def chance_level(assignment: FaceAssignment) -> Tally:
    """Return the expected accuracy of randomly placed faces: 1 / F at each placement."""
    return Tally(
        len(assignment.placed_people) / max(len(assignment.placed), 1),
        len(assignment.placed_people),
    )


def face_similarity(assignment: FaceAssignment) -> Tally:
    """Return the mean over all placements of cos(face at i, reference i), 0 without a face.

    A missing face counts as 0, as in MultiHuman-Testbench, so that leaving people out does not
    raise the score. Source: ID-Patch, section 4 (Face Sim).
    """
    return Tally(
        sum(float(assignment.similarity_at(i)[i]) for i in assignment.detected_people),
        len(assignment.placed_people),
    )


def detected_similarity(assignment: FaceAssignment) -> Tally:
    """Return the mean of cos(face at i, reference i) over the placements with a face."""
    return Tally(
        sum(float(assignment.similarity_at(i)[i]) for i in assignment.detected_people),
        len(assignment.detected_people),
    )


def hungarian_pairs(similarity: np.ndarray) -> list[tuple[int, int]]:
    """Return (person, face) pairs, each once, with the largest sum of similarities."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def hungarian_similarity(assignment: FaceAssignment) -> Tally:
    """Return max over matchings of Σ cos(reference, matched face) / F, 0 without a match.

    It ignores placements, so it does not detect swaps: two people at each other's placement score
    as if both were correct. Source: MultiHuman-Testbench, `matched_similarity / num_people`.
    """
    total = sum(
        float(assignment.similarity[pair]) for pair in hungarian_pairs(assignment.similarity)
    )
    return Tally(total, len(assignment.similarity))


def find_swaps(assignment: FaceAssignment) -> list[tuple[int, ...]]:
    """Return the groups of people who appear at each other's placements.

    Two people who are swapped are one group of two, three in rotation one group of three. These
    are the cycles of "the face at i's placement resembles k most".
    """
    nearest = nearest_people(assignment)
    groups = []
    for start in assignment.placed_people:
        cycle, person = [start], nearest[start]
        while person is not None and person not in cycle:
            cycle.append(person)
            person = nearest[person]
        if person == start and len(cycle) > 1 and start == min(cycle):
            groups.append(tuple(cycle))
    return groups


def swap_rate(assignment: FaceAssignment) -> Tally:
    """Return the share of placements that belong to a group of swapped people."""
    return Tally(sum(len(group) for group in find_swaps(assignment)), len(assignment.placed_people))


def blend(assignment: FaceAssignment) -> Tally:
    """Return the mean over the faces at placements i of mean_{k≠i} cos(face at i, reference k).

    It rises when faces mix. Undefined for one person. Source: WithAnyone, `non_matched_mean`,
    by placement instead of by best match.
    """
    if len(assignment.similarity) < 2:
        return Tally(0.0, 0)
    others = [
        float(np.delete(assignment.similarity_at(i), i).mean()) for i in assignment.detected_people
    ]
    return Tally(sum(others), len(others))


def count_duplicates(assignment: FaceAssignment, threshold: float = DEFAULT_THRESHOLD) -> list[int]:
    """Return for each person how often they appear beyond once, anywhere in the image.

    A face is an appearance of the person it resembles most, if their cosine is at least
    `threshold`.
    """
    appearances = [0] * len(assignment.similarity)
    for column in assignment.similarity.T:
        person = _only_largest(column) if len(column) else None
        if person is not None and column[person] >= threshold:
            appearances[person] += 1
    return [max(count - 1, 0) for count in appearances]


def duplicate_rate(assignment: FaceAssignment, threshold: float = DEFAULT_THRESHOLD) -> Tally:
    """Return the number of surplus appearances per person."""
    return Tally(sum(count_duplicates(assignment, threshold)), len(assignment.similarity))


def coverage(assignment: FaceAssignment, threshold: float = DEFAULT_THRESHOLD) -> Tally:
    """Return the share of people who appear anywhere in the image.

    A person appears when the face that the Hungarian matching gives them has a cosine of at least
    `threshold`; one face covers one person.
    """
    pairs = hungarian_pairs(assignment.similarity)
    return Tally(
        sum(assignment.similarity[pair] >= threshold for pair in pairs), len(assignment.similarity)
    )


def count_accuracy(assignment: FaceAssignment) -> Tally:
    """Return 1 if as many faces were found as people were asked for, else 0.

    What counts as a face depends on the detector's threshold. Source: MultiHuman-Testbench, count
    accuracy.
    """
    people, faces = assignment.similarity.shape
    return Tally(float(people == faces), 1)


def leakage_rate(assignment: FaceAssignment) -> Tally:
    """Return the share of the faces at placements that resemble another person most.

    Missing faces do not count. Undefined for one person.
    """
    if len(assignment.similarity) < 2:
        return Tally(0.0, 0)
    correct = correctness(assignment)
    return Tally(
        sum(not correct[person] for person in assignment.detected_people),
        len(assignment.detected_people),
    )


def copy_paste(generated: ArrayLike, truth: ArrayLike, reference: ArrayLike) -> float:
    """Return (θgt - θgr) / θtr: how much closer a face is to its reference than to the truth.

    The angles, in radians, are those between the embeddings of the generated face g, of another
    photo of the person (the truth) t and of the reference r. 1 is a copy of the reference, -1
    a copy of the truth; 0 where truth and reference coincide (θtr < 1e-6). Source: WithAnyone,
    section 4 (M_CP), `copy_geo`.
    """
    theta_gt, theta_gr, theta_tr = (
        float(np.arccos(cosine(a, b)[0, 0]))
        for a, b in ((generated, truth), (generated, reference), (truth, reference))
    )
    return (theta_gt - theta_gr) / theta_tr if theta_tr >= MIN_ANGLE else 0.0


METRICS: dict[str, Callable[[FaceAssignment], Tally]] = {
    "face_similarity": face_similarity,
    "detected_similarity": detected_similarity,
    "association_accuracy": association_accuracy,
    "chance_level": chance_level,
    "hungarian_similarity": hungarian_similarity,
    "swap_rate": swap_rate,
    "blend": blend,
    "leakage_rate": leakage_rate,
    "count_accuracy": count_accuracy,
}


def compute_tallies(
    assignment: FaceAssignment, threshold: float = DEFAULT_THRESHOLD
) -> dict[str, Tally]:
    """Return every metric of one image that needs only its assignment."""
    return {
        **{name: tally(assignment) for name, tally in METRICS.items()},
        "duplicate_rate": duplicate_rate(assignment, threshold),
        "coverage": coverage(assignment, threshold),
    }
