"""Scores cases and saves each result at once, so that an interrupted run can resume."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import journal
from ..layout import Point, has_same_aspect, rescale_points
from ..read_image import UnreadableImage, read_image
from ..verification import metrics
from ..verification.assignment import FaceAssignment, cosine, make_assignment
from ..verification.scorer import FaceScorer
from ..verification.tally import Tally
from ..verification.verdict import Detect, Verdict, embed_faces, verdict_to_json, verify_image
from .case import Case
from .record_store import SavedRecords

TRUTH_METRICS = ("truth_similarity", "reference_similarity", "copy_paste")
CACHED_REFERENCES = 10_000
PADDING = 1.5  # times the longer side: as MultiID-Bench, for references cropped to the face


class Evaluators(NamedTuple):
    """A face detector with its name, a scorer, and a CLIP similarity or None."""

    detector: str
    detect: Detect
    scorer: FaceScorer
    clip: Callable[[np.ndarray, str], float] | None = None
    clip_name: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that scores depend on."""
        return {
            "scorer": self.scorer.name,
            "threshold": self.scorer.threshold,
            "biased": self.scorer.biased,
            "detector": self.detector,
            "clip": self.clip_name,
        }


class UnreadableFile(Exception):
    """A file that is missing, broken or without a face, so that its case cannot be scored."""

    def __init__(self, file: Path | str, reason: str):
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = str(file), reason


def fingerprint_case(case: Case, settings: dict[str, Any]) -> str:
    """Return a key that changes with the case, its files and the settings."""
    files = [path for person in case.people for path in person.references]
    files += [path for path in (case.result, case.truth) if path is not None]
    content = json.dumps([case, settings, [_state(path) for path in files]], default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _state(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def read_image_file(path: Path) -> np.ndarray:
    """Return an image file as `read_image` does; raises UnreadableFile."""
    try:
        return read_image(path.read_bytes())
    except FileNotFoundError:
        raise UnreadableFile(path, "missing") from None
    except (OSError, ValueError) as error:  # a NUL in a name is a ValueError
        raise UnreadableFile(path, f"cannot be read ({error})") from None
    except UnreadableImage as error:
        raise UnreadableFile(path, f"broken ({error})") from None


class References:
    """The embeddings of reference photos; those of the last CACHED_REFERENCES are kept."""

    def __init__(self, evaluators: Evaluators):
        self._evaluators = evaluators
        self._cache: OrderedDict[Path, np.ndarray | UnreadableFile] = OrderedDict()

    def embed(self, case: Case) -> np.ndarray:
        """Return the people's embeddings (F, D): the normalised mean over their photos."""
        people = []
        for person in case.people:
            rows = [self._embed_once(path) for path in person.references]
            mean = np.mean(rows, axis=0)
            people.append(mean / np.linalg.norm(mean))
        return np.stack(people)

    def _embed_once(self, path: Path) -> np.ndarray:
        if path not in self._cache:
            try:
                self._cache[path] = self._embed(path)
            except UnreadableFile as error:
                self._cache[path] = error
            if len(self._cache) > CACHED_REFERENCES:
                self._cache.popitem(last=False)
        cached = self._cache[path]
        self._cache.move_to_end(path)
        if isinstance(cached, UnreadableFile):
            raise cached
        return cached

    def _embed(self, path: Path) -> np.ndarray:
        image = read_image_file(path)
        for attempt in (image, _padded(image)):
            if faces := self._evaluators.detect(attempt):
                return embed_faces(attempt, faces[:1], self._evaluators.scorer)[0]
        raise UnreadableFile(path, "no face found in this reference")


def _padded(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = int(PADDING * max(height, width))
    canvas = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def describe_case(case: Case) -> dict[str, Any]:
    """Return what a case's record holds before it is scored, JSON-ready."""
    return {
        "id": case.id,
        "system": case.system,
        "names": [person.name for person in case.people],
        "placed": [person.point is not None for person in case.people],
        "result": str(case.result),
        "references": [str(person.references[0]) for person in case.people],
        "prompt": case.prompt,
        "seconds": case.seconds,
    }


def score_case(case: Case, evaluators: Evaluators, references: References) -> dict[str, Any]:
    """Score one case; returns a JSON-ready record.

    An unreadable file is a "problem" of the record: the case then counts as failed at all its
    placements.
    """
    record = describe_case(case)
    if case.problem is not None:
        return {
            **record,
            "result": None,
            "problem": {"file": case.problem, "reason": "unreadable case"},
        }
    try:
        embeddings = references.embed(case)
        image = read_image_file(case.result)
        points, note = find_points(case, image)
        names = record["names"]
        verdict = verify_image(
            image, names, embeddings, points, evaluators.detect, evaluators.scorer
        )
        record |= {"verdict": verdict_to_json(verdict), "size": [image.shape[1], image.shape[0]]}
        record["placed"] = list(verdict.assignment.placed)
        record["note"] = note
        record["clip"] = (
            evaluators.clip(image, case.prompt) if evaluators.clip and case.prompt else None
        )
        if case.truth is not None:
            record |= compare_with_truth(case.truth, verdict, embeddings, evaluators)
    except UnreadableFile as error:
        record["problem"] = {"file": error.file, "reason": error.reason}
    return record


def find_points(case: Case, image: np.ndarray) -> tuple[list[Point | None] | None, str]:
    """Return the people's points in the result's pixels, and a note where they are not known."""
    if all(person.point is None for person in case.people):
        return None, "no placements are known"
    height, width = image.shape[:2]
    size = case.size or (width, height)
    if not has_same_aspect((width, height), size):
        return (
            None,
            f"points are for {size[0]}x{size[1]}, the result is {width}x{height}: cropped?",
        )
    return rescale_points([person.point for person in case.people], size, (width, height)), ""


def compare_with_truth(
    truth: Path, verdict: Verdict, references: np.ndarray, evaluators: Evaluators
) -> dict[str, list[float]]:
    """Return the scores of each person with a face in the result, with another photo as the truth.

    `truth_similarity` is Sim(GT), the cosine with the face in that photo, `reference_similarity`
    Sim(Ref), that with the reference, and `copy_paste` the score of `metrics.copy_paste`.

    A person's face in the real photo is the one that the Hungarian matching assigns to them; in the
    result it is the one at their placement, or the matched one if no placement is known. As in
    MultiID-Bench, a photo with another number of faces than people gives no score. Source:
    WithAnyone, arXiv 2510.14975, section 4.
    """
    photo = read_image_file(truth)
    faces = evaluators.detect(photo)
    if len(faces) != len(references):
        return {name: [] for name in TRUTH_METRICS}
    real = embed_faces(photo, faces, evaluators.scorer)
    truths = dict(metrics.hungarian_pairs(cosine(references, real)))
    assignment = verdict.assignment
    if any(assignment.placed):
        generated = {
            person: assignment.face_indices[person] for person in assignment.detected_people
        }
    else:
        generated = dict(metrics.hungarian_pairs(assignment.similarity))
    triples = [
        (verdict.embeddings[face], real[truths[person]], references[person])
        for person, face in sorted(generated.items())
    ]
    return {
        "truth_similarity": [float(cosine(face, true)[0, 0]) for face, true, _ in triples],
        "reference_similarity": [float(cosine(face, own)[0, 0]) for face, _, own in triples],
        "copy_paste": [metrics.copy_paste(*triple) for triple in triples],
    }


def read_assignment(record: dict[str, Any]) -> FaceAssignment:
    """Return the assignment of a record; one without faces if it has a problem."""
    people, verdict = len(record["names"]), record.get("verdict")
    if verdict is None:
        return make_assignment(np.zeros((people, 0)), (None,) * people, record["placed"])
    similarity = np.array(verdict["similarity"], float).reshape(people, -1)
    return make_assignment(similarity, verdict["face_indices"], record["placed"])


def read_tallies(record: dict[str, Any], threshold: float) -> dict[str, Tally]:
    """Return what a record adds to each metric."""
    scores = {name: record.get(name) or [] for name in TRUTH_METRICS}
    extra = {
        **{name: Tally(sum(values), len(values)) for name, values in scores.items()},
        "seconds": Tally(record["seconds"] or 0.0, record["seconds"] is not None),
        "clip": Tally(record.get("clip") or 0.0, record.get("clip") is not None),
    }
    if not record["names"]:
        return extra  # a case that could not even be read
    return {**metrics.compute_tallies(read_assignment(record), threshold), **extra}


def score_cases(
    cases: Sequence[Case],
    evaluators: Evaluators,
    folder: Path,
    rank: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[dict[str, Any]]:
    """Score the cases that have no saved record yet; yields each case's record, in their order.

    Each new record is on the disk before the next case begins, so a killed run resumes there. Each
    process writes its own file, `scores-<rank>.jsonl`. An unexpected error, such as a lack of
    memory, is a "problem" of its case's record, with "retry": the next run scores it again.
    """
    saved, references = SavedRecords(folder), References(evaluators)
    with journal.Journal(folder / f"scores-{rank:04}.jsonl") as log:
        for case in progress(cases):
            key = fingerprint_case(case, evaluators.settings)
            record = saved.get(key)
            if record is None or record.get("retry"):
                try:
                    record = {"key": key, **score_case(case, evaluators, references)}
                except Exception as error:  # whatever is wrong with an image costs that image only
                    reason = f"unexpected error ({type(error).__name__}: {error})"
                    problem = {"file": str(case.result), "reason": reason}
                    record = {"key": key, **describe_case(case), "problem": problem, "retry": True}
                log.append(record)
            yield record
