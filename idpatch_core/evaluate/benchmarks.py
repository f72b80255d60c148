"""Reads the cases of MultiID-Bench and MultiHuman-Testbench."""

import re
from pathlib import Path

from ..describe import describe_value
from ..json_lines import check_value, read_json, read_unchecked_json
from ..layout import Point
from ..read_image import IMAGE_SUFFIXES
from .case import Case, CasePerson, box_centre, find_image


def read_multiid_result(folder: Path, system: str) -> Case:
    """A case of MultiID-Bench as its evaluation reads it: out.jpg, ori.jpg, ref_N.jpg, meta.json.

    This layout has no placements. Source: Doby-Xu/WithAnyone, MultiID-Bench/README.md.
    """
    try:
        meta = read_json(folder / "meta.json")
        prompt = str(meta.get("prompt") or meta.get("caption_en") or "")
    except (ValueError, AttributeError) as error:
        return Case(folder.name, system, problem=f"{folder}: {error}")
    references = sorted(
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := re.fullmatch(r"ref_(\d+)", path.stem))
        and path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not references:
        return Case(folder.name, system, problem=f"{folder}: no ref_1.jpg")
    truth = find_image(folder, "ori")
    people = tuple(CasePerson(path.stem, (path,)) for _, path in references)
    result = find_image(folder, "out")
    if not result.is_file():
        result = folder / "out.jpg"
    return Case(folder.name, system, people, prompt, result, truth if truth.is_file() else None)


def read_benchmark(path: Path, system: str, results: Path | None, root: Path | None) -> list[Case]:
    """Read an index of MultiID-Bench or the metadata of MultiHuman-Testbench.

    Raises ValueError if it is neither, or without the folder of the results.
    """
    try:
        rows = read_unchecked_json(path)
        first = rows[0]
        if not isinstance(first, dict):
            raise ValueError(f"expected objects in a list, got {describe_value(first)}")
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
            check_value(row)
            if is_multiid:
                cases.append(_parse_multiid(path, row, number, system, results, root))
            else:
                cases.append(_parse_multihuman(path, row, number, system, results, root))
        except Exception as error:  # whatever is wrong with an entry costs that entry only
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
    points: list[Point | None] = [box_centre(box) for box in boxes]
    if len(points) != len(row["image_paths"]):
        points = [None] * len(row["image_paths"])
    people = tuple(
        CasePerson(f"person {i}", (base / path,), point)
        for i, (path, point) in enumerate(zip(row["image_paths"], points, strict=True), start=1)
    )
    result = find_image(results / name, "out")
    if not result.is_file():
        result = find_image(results, name)
    real = base / truth if truth else None
    return Case(name, system, people, str(row.get("prompt", "")), result, real, None, size)


def _read_multiid_boxes(truth: Path) -> tuple[list, tuple[int, int] | None]:
    from PIL import Image

    beside = truth.with_suffix(".json")
    if not (beside.is_file() and truth.is_file()):
        return [], None
    data = read_json(beside)
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
    result = find_image(results, str(number))
    return Case(str(number), system, people, str(row.get("prompt", "")), result)
