"""Reads what to evaluate: our own JSON lines, MultiID-Bench and MultiHuman-Testbench.

A case is one image that a system generated: the people that were asked for (reference photos, and
placements if they are known), the prompt, and the file of the result.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..layout import Point

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class CasePerson(NamedTuple):
    """One person of a case; `point` in pixels of the case's size, None if not known."""

    name: str
    references: tuple[Path, ...]
    point: Point | None = None


class Case(NamedTuple):
    """One image to evaluate.

    `size` (width, height) is what the points refer to, None for the result's size; `truth` is a
    real photo of the same people, for copy-paste and FID; `problem` says why a case could not be
    read: it then has no people and counts as a problem.
    """

    id: str
    system: str
    people: tuple[CasePerson, ...] = ()
    prompt: str = ""
    result: Path = Path()
    truth: Path | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    problem: str | None = None


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
            return [_read_multiid_result(folder, system) for folder in folders]
        raise ValueError(
            f"{path}: no cases. Expected results.jsonl or cases.jsonl, or one folder for each case "
            "with meta.json, out.jpg and ref_1.jpg (MultiID-Bench)."
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder.")
    if path.suffix == ".jsonl":
        return list(_read_json_lines(path, system, results, root))
    return _read_benchmark(path, system, results, root)


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
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                yield _parse_case(json.loads(line), number, base, system, results)
            except (ValueError, TypeError, LookupError, AttributeError, OSError) as error:
                yield Case(f"line {number}", system, problem=f"{path.name}, line {number}: {error}")


def _parse_case(row: Any, number: int, base: Path, system: str, results: Path | None) -> Case:
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}.")
    id = str(row.get("id", number))
    size = (int(row["width"]), int(row["height"])) if "width" in row and "height" in row else None
    listed = row.get("people")
    if not isinstance(listed, list) or not listed:
        raise ValueError('expected "people", a list with one object for each.')
    people = tuple(_parse_case_person(person, i, base) for i, person in enumerate(listed, start=1))
    if "pose" in row:
        people, size = _assign_pose(people, row["pose"], base, size)
    return Case(
        id,
        str(row.get("system", system)),
        people,
        str(row.get("prompt", "")),
        base / row["result"] if "result" in row else _find_image(results or base, id),
        base / row["ground_truth"] if row.get("ground_truth") else None,
        float(row["seconds"]) if row.get("seconds") is not None else None,
        size,
    )


def _parse_case_person(row: Any, number: int, base: Path) -> CasePerson:
    if not isinstance(row, dict):
        raise ValueError(f"person {number}: expected a JSON object, got {type(row).__name__}.")
    references = row.get("references")
    references = [references] if isinstance(references, str) else references
    if not references:
        raise ValueError(f'person {number}: expected "references", one image or more.')
    point = row.get("point")
    if point is None and row.get("box") is not None:
        point = _box_centre(row["box"])
    if isinstance(point, dict):
        point = (point["x"], point["y"])
    return CasePerson(
        str(row.get("name", f"person {number}")),
        tuple(base / reference for reference in references),
        None if point is None else _parse_point(point, number),
    )


def _parse_point(pair: Any, number: int) -> Point:
    try:
        x, y = (float(value) for value in pair)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"person {number}: expected a point [x, y] in pixels, got {pair!r}.")
    return Point(x, y)


def _box_centre(box: Any) -> Point:
    x0, y0, x1, y1 = (float(value) for value in box)
    return Point((x0 + x1) / 2, (y0 + y1) / 2)


def _assign_pose(
    people: tuple[CasePerson, ...], pose: Any, base: Path, size: tuple[int, int] | None
) -> tuple[tuple[CasePerson, ...], tuple[int, int]]:
    from ..layout import assign_left_to_right
    from ..skeleton import find_head, read_pose_keypoint

    if isinstance(pose, str):
        pose = json.loads((base / pose).read_text("utf-8"))
    frame = read_pose_keypoint(pose)[0]
    size = size or (frame.width, frame.height)
    names = [person.name for person in people]
    heads = [head for body in frame.scaled_to(*size) if (head := find_head(body))]
    points, _ = assign_left_to_right(heads, names, "pose", "head")
    pairs = zip(people, points, strict=True)
    return tuple(person._replace(point=point) for person, point in pairs), size


def _find_image(folder: Path, stem: str) -> Path:
    """Return the image file of this name, or the expected path if there is none."""
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    return folder / f"{stem}.png"


def _read_multiid_result(folder: Path, system: str) -> Case:
    """A case of MultiID-Bench as its evaluation reads it: out.jpg, ori.jpg, ref_N.jpg, meta.json.

    This layout has no placements. Source: Doby-Xu/WithAnyone, MultiID-Bench/README.md.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        prompt = str(meta.get("prompt") or meta.get("caption_en") or "")
    except (OSError, ValueError, AttributeError) as error:
        return Case(folder.name, system, problem=f"{folder / 'meta.json'}: {error}")
    references = sorted(
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := re.fullmatch(r"ref_(\d+)", path.stem))
        and path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not references:
        return Case(folder.name, system, problem=f"{folder}: no ref_1.jpg")
    truth = _find_image(folder, "ori")
    people = tuple(CasePerson(path.stem, (path,)) for _, path in references)
    result = _find_image(folder, "out")
    if not result.is_file():
        result = folder / "out.jpg"
    return Case(folder.name, system, people, prompt, result, truth if truth.is_file() else None)


def _read_benchmark(path: Path, system: str, results: Path | None, root: Path | None) -> list[Case]:
    try:
        rows = json.loads(path.read_text("utf-8"))
        first = rows[0]
        is_multiid, is_multihuman = "image_paths" in first, "people" in first
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: not the index of a benchmark ({error}).") from None
    if not (is_multiid or is_multihuman):
        raise ValueError(
            f'{path}: expected "image_paths" (MultiID-Bench) or "people" (MultiHuman-Testbench) '
            f"in its entries, got {', '.join(first)}."
        )
    if results is None:
        raise ValueError(f"{path}: give the folder of the results as well (--results).")
    cases = []
    for number, row in enumerate(rows):
        try:
            if is_multiid:
                cases.append(_parse_multiid(path, row, number, system, results, root))
            else:
                cases.append(_parse_multihuman(path, row, number, system, results, root))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            problem = f"{path.name}, entry {number}: {error!r}"
            cases.append(Case(str(number), system, problem=problem))
    return cases


def _parse_multiid(
    index: Path, row: dict, number: int, system: str, results: Path, root: Path | None
) -> Case:
    """An entry of MultiID-Bench's p1.json, p2.json or p3.json.

    {"prompt", "image_paths": [reference of each person], "ori_img_path"}; the photo's
    `<name>.json` holds the people's "bboxes" in their order. Results are `<name>/out.jpg`, slashes
    replaced by underscores. Source: Doby-Xu/WithAnyone, MultiID-Bench/hf2bench.py and
    infer_withanyone.py.
    """
    truth = row.get("ori_img_path")
    name = truth.split(".")[0].replace("/", "_") if truth else f"{number}_0"
    folders = [index.parent / index.stem / "untar", index.parent / index.stem, index.parent]
    paths = [truth] if truth else row["image_paths"]
    base = root or next((f for f in folders if (f / paths[0]).is_file()), folders[0])
    boxes, size = _read_multiid_boxes(base / truth) if truth else ([], None)
    points: list[Point | None] = [_box_centre(box) for box in boxes]
    if len(points) != len(row["image_paths"]):
        points = [None] * len(row["image_paths"])
    people = tuple(
        CasePerson(f"person {i}", (base / path,), point)
        for i, (path, point) in enumerate(zip(row["image_paths"], points, strict=True), start=1)
    )
    result = _find_image(results / name, "out")
    if not result.is_file():
        result = _find_image(results, name)
    real = base / truth if truth else None
    return Case(name, system, people, str(row.get("prompt", "")), result, real, None, size)


def _read_multiid_boxes(truth: Path) -> tuple[list, tuple[int, int] | None]:
    from PIL import Image

    beside = truth.with_suffix(".json")
    if not (beside.is_file() and truth.is_file()):
        return [], None
    data = json.loads(beside.read_text("utf-8"))
    left, top = (data.get("crop") or (0, 0))[:2]
    boxes = [
        (x0 - left, y0 - top, x1 - left, y1 - top) for x0, y0, x1, y1 in data.get("bboxes") or []
    ]
    try:
        with Image.open(truth) as image:
            return boxes, image.size
    except OSError:
        return [], None  # the broken photo is reported when it is scored


def _parse_multihuman(
    index: Path, row: dict, number: int, system: str, results: Path, root: Path | None
) -> Case:
    """An entry of MultiHuman-Testbench: {"people": [reference of each person], "prompt"}.

    The result of entry N is `N.png`; no person has a placement. Source:
    Qualcomm-AI-research/MultiHuman-Testbench, benchmarking/compute_scores.py.
    """
    if not isinstance(row["people"], list):
        raise ValueError(f"expected a list of people, got {row['people']!r}")
    folders = [index.parent.parent, index.parent]  # paths begin with data/, where the index lies
    base = root or next((f for f in folders if (f / row["people"][0]).is_file()), folders[0])
    people = tuple(
        CasePerson(f"person {i}", (base / p,)) for i, p in enumerate(row["people"], start=1)
    )
    result = _find_image(results, str(number))
    return Case(str(number), system, people, str(row.get("prompt", "")), result)
