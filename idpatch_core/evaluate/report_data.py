"""What the report shows of many records, collected in one pass; it stays small."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..verification import metrics
from .scoring import read_assignment

GALLERY_SIZE = 24  # images
MAX_POINTS = 2000  # marks of a kind in a plot, which all kinds of browsers draw at once
MAX_PROBLEMS = 1000  # listed; cases.csv has all of them
VERDICTS = ("correct", "wrong", "no face")  # of placements
Record = dict[str, Any]


class PointSample:
    """At most MAX_POINTS of many points, evenly over all of them, and how many there are."""

    def __init__(self):
        self.points: list[tuple[float, float]] = []
        self.count, self._stride = 0, 1

    def add(self, point: tuple[float, float]) -> None:
        if self.count % self._stride == 0:
            self.points.append(point)
            if len(self.points) > MAX_POINTS:
                self.points, self._stride = self.points[::2], 2 * self._stride
        self.count += 1


class MeanMatrix:
    """The mean cosine of the face at each placement (down) and each reference (across)."""

    def __init__(self, people: int):
        self._total, self._count = np.zeros((people, people)), np.zeros((people, 1))

    def add(self, record: Record) -> None:
        assignment = read_assignment(record)
        for person in assignment.detected_people:
            self._total[person] += assignment.similarity_at(person)
            self._count[person] += 1

    @property
    def mean(self) -> np.ndarray:
        """(F, F), NaN where no face was found."""
        empty = np.full_like(self._total, np.nan)
        return np.divide(self._total, self._count, out=empty, where=self._count > 0)


class SystemData:
    """What the plots of a system show, of its images with known placements."""

    def __init__(self):
        self.matrices: dict[int, MeanMatrix] = {}  # by number of people
        self.points = {kind: PointSample() for kind in VERDICTS}
        # By number of placed people: how often the face at each rank from the left is right.
        self.correct: dict[int, np.ndarray] = {}
        self.images: dict[int, int] = defaultdict(int)

    def add(self, record: Record) -> None:
        people = len(record["names"])
        self.matrices.setdefault(people, MeanMatrix(people)).add(record)
        placed = sum(record["placed"])
        correct = self.correct.setdefault(placed, np.zeros(placed))
        if "verdict" not in record:
            return
        width, height = record["size"]
        shown = [person for person in record["verdict"]["people"] if person["point"] is not None]
        for person in shown:
            kind = person["verdict"] if person["verdict"] in VERDICTS else "wrong"
            x, y = person["point"]
            self.points[kind].add((x / width, y / height))
        ordered = sorted(shown, key=lambda person: person["point"])
        correct += [person["correct"] for person in ordered]
        self.images[placed] += 1


class ReportData:
    """What the report shows of all records."""

    def __init__(self, records: Iterable[Record]):
        self.cases, self.failed = 0, 0
        self.systems: dict[str, SystemData] = {}
        self.problems: list[Record] = []
        self.notes: dict[str, tuple[int, list[str]]] = {}  # number of images, the first five
        worst: list[tuple[Any, ...]] = []
        for record in records:
            self.cases += 1
            if "problem" in record:
                self.failed += 1
                if self.failed <= MAX_PROBLEMS:
                    self.problems.append(record)
            if note := record.get("note"):
                count, ids = self.notes.get(note, (0, []))
                self.notes[note] = count + 1, ids + [record["id"]] * (count < 5)
            if any(record["placed"]):
                self.systems.setdefault(record["system"], SystemData()).add(record)
            if "verdict" in record and (wrong := _count_wrong(record)):
                rank = (-wrong, record["verdict"]["scores"], record["system"], record["id"])
                worst.append((rank, self.cases, record))
                if len(worst) > 10 * GALLERY_SIZE:
                    worst = heapq.nsmallest(GALLERY_SIZE, worst)
        self.weakest = [record for *_, record in heapq.nsmallest(GALLERY_SIZE, worst)]


def _count_wrong(record: Record) -> int:
    assignment = read_assignment(record)
    return len(assignment.placed_people) - sum(metrics.correctness(assignment))
