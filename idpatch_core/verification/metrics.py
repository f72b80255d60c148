"""Did everybody end up in the right place? The field's metrics on plain numbers.

Throughout, F people were asked for, G faces were found in the picture, and `similarity` (F, G) is
the cosine of every person's reference with every face, in a scoring encoder's embedding space.
Sources: ID-Patch (arXiv 2411.13632) for face similarity and ID-position association;
MultiHuman-Testbench (arXiv 2506.20879, benchmarking/compute_scores.py) for Hungarian similarity and
counts; WithAnyone (arXiv 2510.14975, MultiID-Bench/metrics/arcface_metric.py) for copy-paste and
the similarity to the others.
"""

from __future__ import annotations  # torch's types below need no torch

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from torch import Tensor, nn

RECOGNISED = 0.35  # cosine from which two faces count as one person, where the encoder names none
TIE = 1e-6  # two similarities closer than this are equal: the noise of float32 embeddings
REACH = 32.0  # half an ID patch: a nose this near to a point, in pixels, is always at its place
ANGLE = 1e-6  # radians; the guard of WithAnyone's copy-paste score


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


class Tally(NamedTuple):
    """What one picture adds to a metric: a sum and how much it is a sum of.

    A metric over many pictures is Σ total / Σ count, so every place weighs the same.
    """

    total: float
    count: float

    @property
    def value(self) -> float:
        """total / count, NaN where there was nothing to measure."""
        return self.total / self.count if self.count else float("nan")


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


def bootstrap_interval(
    parts: Iterable[Tally], seed: int = 0, level: float = 0.95, resamples: int = 1000
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of Σ total / Σ count over pictures.

    Whole pictures are drawn, since the faces of one picture fail together. The same parts in the
    same order and the same seed give the same interval; NaN for fewer than two pictures. Source:
    Efron and Tibshirani, An Introduction to the Bootstrap, section 13.3.
    """
    measured = np.array([part for part in parts if part.count], float).reshape(-1, 2)
    if len(measured) < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        total, count = measured[generator.integers(len(measured), size=len(measured))].sum(0)
        values[i] = total / count
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def inception_weights() -> Path | None:
    """Return the InceptionV3 weights of torch-fidelity if they lie in torch's hub folder."""
    import torch

    name = "weights-inception-2015-12-05-6726825d.pth"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return path if path.is_file() else None


def fid(
    real: Iterable[Tensor], generated: Iterable[Tensor], feature: str | Path | nn.Module
) -> float:
    """Return the Fréchet inception distance between two sets of pictures.

    |μr - μg|² + tr(Σr + Σg - 2 (Σr Σg)^½) over features of the pictures, each (3, H, W) uint8.
    `feature` is the file of torch-fidelity's InceptionV3 weights, which torchmetrics reads, or any
    network from pictures (N, 3, H, W) to features (N, D). Raises ValueError without torchmetrics or
    with fewer than two pictures on a side. Source: Heusel et al., arXiv 1706.08500.
    """
    import torch

    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError:
        raise ValueError(
            "FID needs torchmetrics and torch-fidelity: pip install torchmetrics torch-fidelity"
        ) from None
    if isinstance(feature, torch.nn.Module):
        metric = FrechetInceptionDistance(feature=feature)
    else:
        torch.load(feature, weights_only=True)  # torch-fidelity would run a pickle's code
        metric = FrechetInceptionDistance(feature_extractor_weights_path=str(feature))
    counts = []
    for pictures, are_real in ((real, True), (generated, False)):
        count = 0
        for picture in pictures:
            metric.update(picture[None], real=are_real)
            count += 1
        counts.append(count)
    if min(counts) < 2:
        raise ValueError(
            f"FID: expected two pictures or more on each side, got {counts[0]} real and "
            f"{counts[1]} generated."
        )
    return float(metric.compute())


def load_clip_similarity(directory: str | Path) -> Callable[[np.ndarray, str], float]:
    """Return the function cos(CLIP(picture), CLIP(text)) of a CLIP model on this machine.

    `directory` holds a Hugging Face CLIP model, or is the name of one that is in the local cache;
    nothing is downloaded. The function takes a picture (H, W, 3) uint8 RGB and a text, which CLIP
    reads up to its length limit. Raises ValueError if the model is not there. Source: Hessel et
    al., arXiv 2104.08718, as the plain cosine (CLIP-T).
    """
    import torch

    try:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

        model = CLIPModel.from_pretrained(str(directory), local_files_only=True).eval()
        tokenize = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
        process = AutoImageProcessor.from_pretrained(str(directory), local_files_only=True)
    except ImportError:
        raise ValueError("CLIP similarity needs transformers: pip install transformers") from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No CLIP model at {directory}. Give a folder with a Hugging Face CLIP model, for "
            f"example a copy of openai/clip-vit-base-patch16. ({error})"
        ) from None

    @torch.inference_mode()
    def similarity(picture: np.ndarray, text: str) -> float:
        tokens = tokenize([text], return_tensors="pt", padding=True, truncation=True)
        output = model(**tokens, **process([picture], return_tensors="pt"))
        return float(cosine(output.image_embeds, output.text_embeds)[0, 0])

    return similarity
