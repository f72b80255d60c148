"""Reads what to evaluate: our own JSON lines, MultiID-Bench and MultiHuman-Testbench.

A case is one image that a system generated: the people that were asked for (reference photos, and
placements if they are known), the prompt, and the file of the result.
"""

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..json_lines import read_json, read_lines
from ..layout import MAX_COORDINATE, Point
from .benchmarks import read_benchmark, read_multiid_result
from .case import Case, CasePerson, box_centre, find_image, is_coordinate, is_number


def read_cases(
    source: str | Path,
    system: str = "results",
    results: str | Path | None = None,
    root: str | Path | None = None,
) -> list[Case]:
    """Read the cases of a file or folder, in its order.

    `source` is a `.jsonl` file of cases, a folder with one named `cases.jsonl` or `results.jsonl`,
    a folder of MultiID-Bench results, an index of MultiID-Bench (`p1.json`) or the metadata of
    MultiHuman-Testbench (`multihuman_metadata.json`). `results` is the folder of the results
    if the source does not name them; `root` the folder that the source's paths are relative to, by
    default its own. Raises ValueError for any other source.
    """
    path = Path(source)
    results = Path(results) if results is not None else None
    root = Path(root) if root is not None else None
    if path.is_dir():
        for name in ("results.jsonl", "cases.jsonl"):
            if (path / name).is_file():
                return list(_read_json_lines(path / name, system, results, root))
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
        if any((folder / "meta.json").is_file() for folder in folders):
            return [read_multiid_result(folder, system) for folder in folders]
        raise ValueError(
            f"{path}: no cases. Expected results.jsonl or cases.jsonl, or one folder for each case "
            "with meta.json, out.jpg and ref_1.jpg (MultiID-Bench)."
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder.")
    if path.suffix == ".jsonl":
        return list(_read_json_lines(path, system, results, root))
    return read_benchmark(path, system, results, root)


def _read_json_lines(
    path: Path, system: str, results: Path | None, root: Path | None
) -> Iterator[Case]:
    """The format of this pack, one JSON object per line.

    {"id": "17", "prompt": "…", "width": 1024, "height": 1024, "people": [{"name": "Ada",
    "references": ["ada.jpg"], "point": [412.5, 230]}], "result": "17.png"}, and optionally
    "system", "seconds", "ground_truth", and instead of the points "pose" (a POSE_KEYPOINT frame or
    its file: noses from left to right). Paths are relative to the file.
    """
    base = root or path.parent
    for line in read_lines(path):
        problem = line.problem
        if problem is None:
            try:
                yield parse_case(line.value, line.number, base, system, results)
                continue
            except Exception as error:  # whatever is wrong with a line costs that line only
                problem = f"{path.name}, line {line.number}: {describe(error)}"
        yield Case(f"line {line.number}", system, problem=problem)


def describe(error: Exception) -> str:
    """Return the message of an error in a line."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error) if isinstance(error, ValueError) else repr(error)


def parse_case(
    row: Any, number: int, base: Path, system: str = "results", results: Path | None = None
) -> Case:
    """Return the case of a line; raises ValueError or OSError, which say what is wrong with it."""
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}.")
    row = {name: value for name, value in row.items() if value is not None}
    id = row.get("id", number)
    if not isinstance(id, str | int) or isinstance(id, bool):
        raise ValueError(f'"id": expected a text or a whole number, got {reprlib.repr(id)}.')
    size = _parse_size(row)
    listed = row.get("people")
    if not isinstance(listed, list) or not listed:
        raise ValueError('expected "people", a list with one object for each.')
    people = tuple(_parse_case_person(person, i, base) for i, person in enumerate(listed, start=1))
    if "pose" in row:
        people, size = _assign_pose(people, row["pose"], base, size)
    result, truth = _parse_text(row, "result"), _parse_text(row, "ground_truth")
    seconds = row.get("seconds")
    if seconds is not None and not (is_number(seconds) and seconds >= 0):
        raise ValueError(f'"seconds": expected a number, at least 0, got {reprlib.repr(seconds)}.')
    return Case(
        str(id),
        _parse_text(row, "system") or system,
        people,
        _parse_text(row, "prompt"),
        base / result if result else find_image(results or base, str(id)),
        base / truth if truth else None,
        None if seconds is None else float(seconds),
        size,
    )


def _parse_text(row: Mapping[str, Any], name: str) -> str:
    text = row.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f'"{name}": expected a text, got {reprlib.repr(text)}.')
    return text


def _parse_size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    sides: list[Any] = [row.get(name) for name in ("width", "height")]
    if sides == [None, None]:
        return None
    for name, side in zip(("width", "height"), sides, strict=True):
        if not is_coordinate(side) or side != int(side) or side < 1:
            raise ValueError(
                f'"{name}": expected a whole number of pixels from 1 to {MAX_COORDINATE:.0f}, '
                f"got {reprlib.repr(side)}."
            )
    return int(sides[0]), int(sides[1])


def _parse_case_person(row: Any, number: int, base: Path) -> CasePerson:
    if not isinstance(row, dict):
        raise ValueError(f"person {number}: expected a JSON object, got {type(row).__name__}.")
    references = row.get("references")
    references = [references] if isinstance(references, str) else references
    if not isinstance(references, list) or not references:
        raise ValueError(f'person {number}: expected "references", one image or more.')
    if not all(isinstance(reference, str) for reference in references):
        raise ValueError(
            f'person {number}: "references": expected files, got {reprlib.repr(references)}.'
        )
    point = row.get("point")
    if isinstance(point, dict):
        point = (point.get("x"), point.get("y"))
    if point is not None:
        point = _parse_point(point, number)
    elif row.get("box") is not None:
        point = box_centre(row["box"])
    name = _parse_text({k: v for k, v in row.items() if v is not None}, "name")
    paths = tuple(base / reference for reference in references)
    return CasePerson(name or f"person {number}", paths, point)


def _parse_point(pair: Any, number: int) -> Point:
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(is_coordinate, pair)):
        raise ValueError(
            f"person {number}: expected a point [x, y] in pixels, got {reprlib.repr(pair)}."
        )
    return Point(float(pair[0]), float(pair[1]))


def _assign_pose(
    people: tuple[CasePerson, ...], pose: Any, base: Path, size: tuple[int, int] | None
) -> tuple[tuple[CasePerson, ...], tuple[int, int]]:
    from ..layout import assign_left_to_right
    from ..pose_reader import read_pose_keypoint
    from ..skeleton import find_head

    if isinstance(pose, str):
        pose = read_json(base / pose)
    frame = read_pose_keypoint(pose)[0]
    size = size or (frame.width, frame.height)
    names = [person.name for person in people]
    heads = [head for body in frame.scaled_to(*size) if (head := find_head(body))]
    points, _ = assign_left_to_right(heads, names, "pose", "head")
    pairs = zip(people, points, strict=True)
    return tuple(person._replace(point=point) for person, point in pairs), size
