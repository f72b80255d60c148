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

RECOGNISED = 0.35  # cosine from which two faces count as one person, where the encoder names none
TIE = 1e-6  # two similarities closer than this are equal: the noise of float32 embeddings
ANGLE = 1e-6  # radians; the guard of WithAnyone's copy-paste score


def nearest(assignment: FaceAssignment) -> list[int | None]:
    """Return whom the face at each place resembles most; None without a face or with a tie.

    A face that is equally near to two people (a perfect blend) is nobody.
    """
    return [
        _only_largest(assignment.at_place(person)) if assignment.faces[person] is not None else None
        for person in range(len(assignment.faces))
    ]


def _only_largest(similarity: np.ndarray) -> int | None:
    values = similarity.tolist()  # a few numbers: NumPy would take longer
    best = max(range(len(values)), key=values.__getitem__)
    others = values[:best] + values[best + 1 :]
    return best if not others or values[best] - max(others) > TIE else None


def correct(assignment: FaceAssignment) -> list[bool]:
    """Say for each person whether their place holds a face that resembles them most."""
    return [
        expected and near == person
        for person, (near, expected) in enumerate(
            zip(nearest(assignment), assignment.expected, strict=True)
        )
    ]


def association_accuracy(assignment: FaceAssignment) -> Tally:
    """ID-position association: places where argmax_k cos(face at i, reference k) = i, of all.

    A place without a face is a failure. Source: ID-Patch, section 4 (ID-Pos Acc).
    """
    return Tally(sum(correct(assignment)), len(assignment.placed_people))


def chance_level(assignment: FaceAssignment) -> Tally:
    """Return the accuracy of faces put down at random: 1 / F at each place."""
    return Tally(
        len(assignment.placed_people) / max(len(assignment.expected), 1),
        len(assignment.placed_people),
    )


def face_similarity(assignment: FaceAssignment) -> Tally:
    """Return the mean over all places of cos(face at i, reference i), 0 where there is no face.

    Counting a missing face as 0, as MultiHuman-Testbench does, keeps a system from gaining by
    leaving people out. Source: ID-Patch, section 4 (Face Sim).
    """
    return Tally(
        sum(float(assignment.at_place(i)[i]) for i in assignment.filled),
        len(assignment.placed_people),
    )


def found_similarity(assignment: FaceAssignment) -> Tally:
    """Return the mean of cos(face at i, reference i) over the places that hold a face."""
    return Tally(
        sum(float(assignment.at_place(i)[i]) for i in assignment.filled), len(assignment.filled)
    )


def hungarian_pairs(similarity: np.ndarray) -> list[tuple[int, int]]:
    """Return (person, face) pairs, each once, with the largest sum of similarities."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def hungarian_similarity(assignment: FaceAssignment) -> Tally:
    """Return max over matchings of Σ cos(reference, matched face) / F, 0 for who gets no face.

    It ignores places, so it cannot see swaps: two people in each other's place score as if all
    were right. Source: MultiHuman-Testbench, `matched_similarity / num_people`.
    """
    total = sum(
        float(assignment.similarity[pair]) for pair in hungarian_pairs(assignment.similarity)
    )
    return Tally(total, len(assignment.similarity))


def swaps(assignment: FaceAssignment) -> list[tuple[int, ...]]:
    """Return the groups of people who stand in each other's places.

    Two people who changed places are one group of two; three who moved round are one of three.
    These are the cycles of "the face at i's place resembles k most".
    """
    resembles = nearest(assignment)
    groups = []
    for start in assignment.placed_people:
        cycle, person = [start], resembles[start]
        while person is not None and person not in cycle:
            cycle.append(person)
            person = resembles[person]
        if person == start and len(cycle) > 1 and start == min(cycle):
            groups.append(tuple(cycle))
    return groups


def swapped(assignment: FaceAssignment) -> Tally:
    """Return the share of places that belong to a group of swapped people."""
    return Tally(sum(len(group) for group in swaps(assignment)), len(assignment.placed_people))


def blend(assignment: FaceAssignment) -> Tally:
    """Return the mean over the faces at places i of mean_{k≠i} cos(face at i, reference k).

    It rises when faces mix. Undefined for one person. Source: WithAnyone, `non_matched_mean`,
    taken by place instead of by best match.
    """
    if len(assignment.similarity) < 2:
        return Tally(0.0, 0)
    others = [float(np.delete(assignment.at_place(i), i).mean()) for i in assignment.filled]
    return Tally(sum(others), len(others))


def duplicates(assignment: FaceAssignment, threshold: float = RECOGNISED) -> list[int]:
    """Return for each person how often they appear beyond once, anywhere in the picture.

    A face is an appearance of the person it resembles most, if their cosine is at least
    `threshold`.
    """
    appearances = [0] * len(assignment.similarity)
    for column in assignment.similarity.T:
        person = _only_largest(column) if len(column) else None
        if person is not None and column[person] >= threshold:
            appearances[person] += 1
    return [max(count - 1, 0) for count in appearances]


def duplicated(assignment: FaceAssignment, threshold: float = RECOGNISED) -> Tally:
    """Return the surplus appearances per person."""
    return Tally(sum(duplicates(assignment, threshold)), len(assignment.similarity))


def coverage(assignment: FaceAssignment, threshold: float = RECOGNISED) -> Tally:
    """Return the share of people who appear at all, wherever they stand.

    A person appears when the face that the Hungarian matching gives them has a cosine of at least
    `threshold`; one face covers one person.
    """
    pairs = hungarian_pairs(assignment.similarity)
    return Tally(
        sum(assignment.similarity[pair] >= threshold for pair in pairs), len(assignment.similarity)
    )


def count_accuracy(assignment: FaceAssignment) -> Tally:
    """Return 1 if as many faces were found as people asked for, else 0.

    What counts as a face is the detector's own threshold. Source: MultiHuman-Testbench, count
    accuracy.
    """
    people, found = assignment.similarity.shape
    return Tally(float(people == found), 1)


def leakage_rate(assignment: FaceAssignment) -> Tally:
    """Return the share of the faces at places that resemble somebody else most.

    Missing faces do not count here. Given by number of people it shows how identities leak as
    groups grow; undefined for one person.
    """
    if len(assignment.similarity) < 2:
        return Tally(0.0, 0)
    right = correct(assignment)
    return Tally(sum(not right[person] for person in assignment.filled), len(assignment.filled))


def copy_paste(generated: ArrayLike, truth: ArrayLike, reference: ArrayLike) -> float:
    """Return (θgt - θgr) / θtr: how much nearer a face is to its reference than to the truth.

    The angles, in radians, are those between the embeddings of the generated face g, of another
    photograph of the person (the truth) t and of the reference r. 1 is a copy of the reference, -1
    one of the truth; 0 where truth and reference coincide (θtr < 1e-6). Source: WithAnyone,
    section 4 (M_CP), `copy_geo`.
    """
    theta_gt, theta_gr, theta_tr = (
        float(np.arccos(cosine(a, b)[0, 0]))
        for a, b in ((generated, truth), (generated, reference), (truth, reference))
    )
    return (theta_gt - theta_gr) / theta_tr if theta_tr >= ANGLE else 0.0


TALLIES: dict[str, Callable[[FaceAssignment], Tally]] = {
    "face_similarity": face_similarity,
    "found_similarity": found_similarity,
    "association_accuracy": association_accuracy,
    "chance_level": chance_level,
    "hungarian_similarity": hungarian_similarity,
    "swapped": swapped,
    "blend": blend,
    "leakage_rate": leakage_rate,
    "count_accuracy": count_accuracy,
}


def tallies(assignment: FaceAssignment, threshold: float = RECOGNISED) -> dict[str, Tally]:
    """Return every metric of one picture that needs nothing but its assignment."""
    return {
        **{name: tally(assignment) for name, tally in TALLIES.items()},
        "duplicated": duplicated(assignment, threshold),
        "coverage": coverage(assignment, threshold),
    }
