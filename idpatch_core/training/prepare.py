"""Precomputes everything that stays the same between training steps.

    python -m idpatch_core.training.prepare SOURCE TARGET --base SDXL --face-model FILE

SOURCE is a folder or WebDataset shards (see `sources`), TARGET is the `data.prepared` of a config.
It gets faces, poses, embeddings, latents and text embeddings. An interrupted command resumes. The
reasons why images were rejected are printed and counted in `report.json`; `index.jsonl` has the
reason for each image.
"""

import argparse
import hashlib
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from ..journal import Journal, read, write_whole
from .find_people import ImageInspector, PreparedImage, PrepareOptions, RejectedImage
from .image_encoders import ImageEncoders
from .pose_estimator import RTMLIB_MODELS
from .prepared_data import (
    EMBEDDINGS_FILE,
    EMPTY_CAPTION_FILE,
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
)
from .sources import Source, find_sources

REPORT_FILE = "report.json"
DEFAULTS = PrepareOptions()


def prepare_images(
    source: Path,
    target: Path,
    base: str,
    face_model: str,
    options: PrepareOptions = DEFAULTS,
    workers: int = 2,
    device: str = "cpu",
) -> dict[str, Any]:
    """Prepare all images that are not prepared yet; return the report.

    Raises ValueError if the target was started with other settings or if no image can be used.
    """
    from tqdm import tqdm

    settings = {"base": base, "face_model": face_model, **options._asdict()}
    check_settings(target, settings)
    encoders = ImageEncoders(base, face_model, device)
    write_whole(target / EMPTY_CAPTION_FILE, save(encoders.encode_caption("")))
    info = {
        "version": FORMAT_VERSION,
        "settings": settings,
        "scaling_factor": encoders.scaling_factor,
    }
    write_whole(target / INFO_FILE, json.dumps(info, indent=1).encode())

    sources = find_sources(source)
    done = {record["image"] for record in read(target / INDEX_FILE)}
    remaining = [item for item in sources if item.key not in done]
    with Journal(target / INDEX_FILE) as journal:
        results = inspect_images(remaining, options, workers)
        for result in tqdm(results, total=len(sources), initial=len(done)):
            if isinstance(result, RejectedImage):
                record = {"rejected": result.reason, "detail": result.detail}
            else:
                record = write_image(target, result, encoders)
            journal.append({"image": result.key, **record})
    return finish(target)


def check_settings(target: Path, settings: dict[str, Any]) -> None:
    """Raise a ValueError if a target that exists was started with other settings."""
    if not (target / INFO_FILE).is_file():
        return
    info = json.loads((target / INFO_FILE).read_text("utf-8"))
    before = {**DEFAULTS._asdict(), **info["settings"]}
    for name, value in settings.items():
        if value != before[name]:
            raise ValueError(
                f"target: {target} was started with {name} {before[name]!r}, now it is {value!r}. "
                "Choose another folder, or restore the old value to resume."
            )


def inspect_images(
    sources: list[Source], options: PrepareOptions, workers: int
) -> Iterator[PreparedImage | RejectedImage]:
    """Inspect images in `workers` processes, in order; 0: in this process."""
    inspect = partial(inspect_image, options=options)
    if not workers:
        yield from map(inspect, sources)
        return
    # Not forked: OpenCV and torch have started threads.
    with multiprocessing.get_context("spawn").Pool(workers, _use_one_thread) as pool:
        yield from pool.imap(inspect, sources, chunksize=4)


def inspect_image(source: Source, options: PrepareOptions) -> PreparedImage | RejectedImage:
    return get_inspector(options).inspect(source)


@cache
def get_inspector(options: PrepareOptions) -> ImageInspector:
    """Return this process's inspector, which keeps its models loaded."""
    return ImageInspector(options)


def _use_one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def write_image(target: Path, image: PreparedImage, encoders: ImageEncoders) -> dict[str, Any]:
    """Write an image's tensors; return its record in the index."""
    name = hashlib.sha256(image.key.encode()).hexdigest()[:32]
    file = f"images/{name[:2]}/{name}.safetensors"
    tensors = {k: t.contiguous() for k, t in encoders.encode(image).items()}
    write_whole(target / file, save(tensors))
    height, width = image.pixels.shape[:2]
    return {"file": file, "width": width, "height": height, "people": image.groups}


def finish(target: Path) -> dict[str, Any]:
    """Collect the embeddings of all images in one file; write and return the report."""
    records = read(target / INDEX_FILE)
    used = [record for record in records if "file" in record]
    rejected = Counter(record["rejected"] for record in records if "rejected" in record)
    groups = Counter(group for record in used for group in record["people"])
    report = {
        "images": len(records),
        "used": len(used),
        "faces": sum(groups.values()),
        "people": len(groups),
        "people_with_one_photo": sum(count == 1 for count in groups.values()),
        "rejected": dict(rejected.most_common()),
    }
    write_whole(target / REPORT_FILE, json.dumps(report, indent=1).encode())
    if not used:
        raise ValueError(f"source: none of {len(records)} images can be used: {dict(rejected)}.")
    embeddings = [load_file(target / record["file"])["embeddings"] for record in used]
    write_whole(target / EMBEDDINGS_FILE, save({"embeddings": torch.cat(embeddings)}))
    return report


def format_report(report: dict[str, Any]) -> Iterable[str]:
    yield f"{report['used']} of {report['images']} images used"
    single = report["people_with_one_photo"]
    yield f"{report['faces']} faces of {report['people']} people, {single} with only one photo"
    for reason, count in report["rejected"].items():
        yield f"rejected, {reason}: {count}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.prepare",
        description="Precomputes faces, poses, embeddings, latents and text embeddings.",
    )
    parser.add_argument("source", type=Path, help="a folder, or a .tar shard")
    parser.add_argument("target", type=Path, help="the prepared folder")
    parser.add_argument("--base", required=True, help="SDXL as a diffusers folder")
    parser.add_argument("--face-model", required=True, help="IR-SE50 file, as at inference")
    parser.add_argument(
        "--resolution",
        type=int,
        default=DEFAULTS.resolution,
        help="side of a square image in pixels; others have its area. 0: keep each image's size",
    )
    parser.add_argument(
        "--multiple", type=int, default=DEFAULTS.multiple, help="of which both sides are multiples"
    )
    parser.add_argument(
        "--min-face-width",
        type=float,
        default=DEFAULTS.min_face_width,
        help="pixels; an image with a narrower face is rejected",
    )
    parser.add_argument("--max-people", type=int, default=DEFAULTS.max_people)
    parser.add_argument(
        "--detector", default=DEFAULTS.detector, help="yunet, or an insightface folder"
    )
    parser.add_argument(
        "--poses",
        default=DEFAULTS.poses,
        help=f"find poses with rtmlib's models: {', '.join(RTMLIB_MODELS)}, or your own folder",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that find people")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parsed = parser.parse_args(arguments)
    options = PrepareOptions(*(getattr(parsed, name) for name in PrepareOptions._fields))
    try:
        report = prepare_images(
            parsed.source,
            parsed.target,
            parsed.base,
            parsed.face_model,
            options,
            parsed.workers,
            parsed.device,
        )
    except (ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(format_report(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
