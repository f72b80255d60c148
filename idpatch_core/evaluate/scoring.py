"""Scores cases one by one and keeps what is scored, whatever happens to the process."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .. import journal
from ..layout import Point, has_same_aspect, rescale_points
from ..verification import metrics
from ..verification.assignment import FaceAssignment, cosine, make_assignment
from ..verification.scorer import Scorer
from ..verification.tally import Tally
from ..verification.verdict import Detect, Verdict, embed_faces, to_json, verify
from .cases import Case

PADDING = 1.5  # MultiID-Bench pads references to 1.5 times their longer side: some are all face


class Evaluators(NamedTuple):
    """What scores: a detector with its name, a scorer, and a CLIP similarity or None."""

    detector: str
    detect: Detect
    scorer: Scorer
    clip: Callable[[np.ndarray, str], float] | None = None
    clip_name: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What a score depends on beside the pictures."""
        return {
            "scorer": self.scorer.name,
            "threshold": self.scorer.threshold,
            "flatters": self.scorer.flatters,
            "detector": self.detector,
            "clip": self.clip_name,
        }


class UnreadableFile(Exception):
    """A file that keeps a case from being scored."""

    def __init__(self, file: Path | str, what: str):
        super().__init__(f"{file}: {what}")
        self.file, self.what = str(file), what


def fingerprint(case: Case, settings: dict[str, Any]) -> str:
    """Return a key that changes with the case, its files and what scores it."""
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


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 RGB, turned as its EXIF says; raises UnreadableFile."""
    from PIL import ImageOps

    try:
        with Image.open(path) as picture:
            turned = ImageOps.exif_transpose(picture)
            return np.asarray(turned.convert("RGB"))
    except FileNotFoundError:
        raise UnreadableFile(path, "missing") from None
    except Exception as error:  # Pillow raises many kinds on broken files
        raise UnreadableFile(path, f"broken ({error})") from None


class References:
    """The embeddings of reference photographs, each read once."""

    def __init__(self, evaluators: Evaluators):
        self._judge = evaluators
        self._known: dict[Path, np.ndarray | UnreadableFile] = {}

    def of(self, case: Case) -> np.ndarray:
        """Return the people's embeddings (F, D): the mean direction of their photographs."""
        people = []
        for person in case.people:
            rows = [self._one(path) for path in person.references]
            mean = np.mean(rows, axis=0)
            people.append(mean / np.linalg.norm(mean))
        return np.stack(people)

    def _one(self, path: Path) -> np.ndarray:
        if path not in self._known:
            try:
                self._known[path] = self._embed(path)
            except UnreadableFile as trouble:
                self._known[path] = trouble
        known = self._known[path]
        if isinstance(known, UnreadableFile):
            raise known
        return known

    def _embed(self, path: Path) -> np.ndarray:
        image = read_picture(path)
        for attempt in (image, _padded(image)):
            if faces := self._judge.detect(attempt):
                return embed_faces(attempt, faces[:1], self._judge.scorer)[0]
        raise UnreadableFile(path, "no face found in this reference")


def _padded(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = int(PADDING * max(height, width))
    canvas = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def score(case: Case, evaluators: Evaluators, references: References) -> dict[str, Any]:
    """Score one case; returns a JSON-ready record.

    A file that is missing, broken or shows no face is a "problem" of the record: the case then
    counts as failed at all its places.
    """
    record: dict[str, Any] = {
        "id": case.id,
        "system": case.system,
        "names": [person.name for person in case.people],
        "placed": [person.point is not None for person in case.people],
        "result": str(case.result),
        "references": [str(person.references[0]) for person in case.people],
        "prompt": case.prompt,
        "seconds": case.seconds,
    }
    if case.problem is not None:
        return {
            **record,
            "result": None,
            "problem": {"file": case.problem, "what": "unreadable case"},
        }
    try:
        embeddings = references.of(case)
        image = read_picture(case.result)
        points, note = places(case, image)
        names = record["names"]
        verdict = verify(image, names, embeddings, points, evaluators.detect, evaluators.scorer)
        record |= {"verdict": to_json(verdict), "size": [image.shape[1], image.shape[0]]}
        record["placed"] = list(verdict.assignment.expected)
        record["note"] = note
        record["clip"] = (
            evaluators.clip(image, case.prompt) if evaluators.clip and case.prompt else None
        )
        if case.truth is not None:
            record["copy_paste"] = copy_paste(case.truth, verdict, embeddings, evaluators)
    except UnreadableFile as trouble:
        record["problem"] = {"file": trouble.file, "what": trouble.what}
    return record


def places(case: Case, image: np.ndarray) -> tuple[list[Point | None] | None, str]:
    """Return the people's points in the result's pixels, and a note where they are not known."""
    if all(person.point is None for person in case.people):
        return None, "no places are known"
    height, width = image.shape[:2]
    size = case.size or (width, height)
    if not has_same_aspect((width, height), size):
        return (
            None,
            f"points are for {size[0]}x{size[1]}, the result is {width}x{height}: cropped?",
        )
    return rescale_points([person.point for person in case.people], size, (width, height)), ""


def copy_paste(
    truth: Path, verdict: Verdict, references: np.ndarray, evaluators: Evaluators
) -> list[float]:
    """Return the copy-paste score of each person whose face was made.

    A person's face in the real photograph is the one the Hungarian matching gives them; in the
    result it is the one at their place, or the matched one where places are unknown. As in
    MultiID-Bench a photograph that does not show as many faces as people gives no score.
    """
    photograph = read_picture(truth)
    faces = evaluators.detect(photograph)
    if len(faces) != len(references):
        return []
    real = embed_faces(photograph, faces, evaluators.scorer)
    truths = dict(metrics.hungarian_pairs(cosine(references, real)))
    assignment = verdict.assignment
    if any(assignment.expected):
        made = {person: assignment.faces[person] for person in assignment.filled}
    else:
        made = dict(metrics.hungarian_pairs(assignment.similarity))
    return [
        metrics.copy_paste(verdict.embeddings[face], real[truths[person]], references[person])
        for person, face in sorted(made.items())
    ]


def read_assignment(record: dict[str, Any]) -> FaceAssignment:
    """Return the assignment of a record; an empty one, failed everywhere, if it has a problem."""
    people, verdict = len(record["names"]), record.get("verdict")
    if verdict is None:
        return make_assignment(np.zeros((people, 0)), (None,) * people, record["placed"])
    similarity = np.array(verdict["similarity"], float).reshape(people, -1)
    return make_assignment(similarity, verdict["at_place"], record["placed"])


def tallies_of(record: dict[str, Any], threshold: float) -> dict[str, Tally]:
    """Return everything a record adds to the metrics."""
    scores = record.get("copy_paste") or []
    extra = {
        "copy_paste": Tally(sum(scores), len(scores)),
        "seconds": Tally(record["seconds"] or 0.0, record["seconds"] is not None),
        "clip": Tally(record.get("clip") or 0.0, record.get("clip") is not None),
    }
    if not record["names"]:
        return extra  # a case that could not even be read
    return {**metrics.tallies(read_assignment(record), threshold), **extra}


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is scored in a folder, by fingerprint."""
    records = {}
    for path in sorted(folder.glob("scores*.jsonl")):
        records |= {record["key"]: record for record in journal.read(path) if "key" in record}
    return records


def score_all(
    cases: Sequence[Case],
    evaluators: Evaluators,
    folder: Path,
    rank: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[dict[str, Any]]:
    """Score the cases that are not scored yet; yields every case's record, in their order.

    Each new record is on the disk before the next case begins, so a killed run goes on where it
    was. Every process writes its own file, `scores-<rank>.jsonl`.
    """
    done, references = read_records(folder), References(evaluators)
    with journal.Journal(folder / f"scores-{rank:04}.jsonl") as log:
        for case in progress(cases):
            key = fingerprint(case, evaluators.settings)
            record = done.get(key)
            if record is None:
                record = {"key": key, **score(case, evaluators, references)}
                log.append(record)
            yield record
