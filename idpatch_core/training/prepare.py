"""Precomputes everything that stays the same between training steps.

    python -m idpatch_core.training.prepare SOURCE TARGET --base SDXL --face-model FILE
        [--evaluation N]

SOURCE is a folder or WebDataset shards (see `sources`), TARGET is the `data.prepared` of a config.
It gets faces, poses, embeddings, latents and text embeddings. With `--evaluation`, about N images
go to the folder TARGET-evaluation, the `data.evaluation` of a config: no one in them is trained on.
An interrupted command resumes. The reasons why images were rejected are printed and counted in
`report.json`; `index.jsonl` has the reason for each image.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..command_line import report_errors
from ..journal import Journal, remove_parts, write_whole
from .find_people import ImageInspector, PrepareOptions
from .image_encoders import ImageEncoders
from .inspection import Result, inspect_image, inspect_images
from .pose_estimator import RTMLIB_MODELS
from .prepare_on_ray import inspect_on_ray
from .prepared_data import (
    EMPTY_CAPTION_FILE,
    INDEX_FILE,
    read_index,
    read_split,
    read_training_records,
)
from .prepared_files import (
    evaluation_folder,
    hold_out,
    prepared_images,
    write_embeddings,
    write_evaluation,
    write_image,
    write_info,
)
from .prepared_groups import group_people
from .prepared_shards import SHARD_FOLDER, ShardWriter
from .rejection import RejectedImage
from .sources import find_sources

REPORT_FILE = "report.json"
DEFAULTS = PrepareOptions()
MAX_UNENCODED = 10  # images in a row that cannot be encoded before the command ends


def prepare_images(
    source: Path,
    target: Path,
    base: str,
    face_model: str,
    options: PrepareOptions = DEFAULTS,
    workers: int = 2,
    device: str = "cpu",
    evaluation: int = 0,
    group_from: float = 0.0,
    on_ray: bool = False,
) -> dict[str, Any]:
    """Prepare all images that are not prepared yet; return the report.

    `evaluation` is about how many of them are kept from training, by their people. Above 0,
    `group_from` is the cosine from which two faces without a name are one person. `on_ray` finds
    people on as many CPUs of a Ray cluster as there are workers. Raises
    ValueError if the target was started with other settings or if no image can be used.
    """
    from tqdm import tqdm

    unreadable: dict[str, str] = {}
    sources = find_sources(source, unreadable)
    ImageInspector(options).load_models()  # here once, not for each image in each process
    encoders = ImageEncoders(base, face_model, device)
    settings = {"base": base, "face_model": face_model, **options._asdict()}
    for folder in (target, evaluation_folder(target)):
        remove_parts(folder)
        remove_parts(folder / SHARD_FOLDER)
    write_info(target, settings, encoders.scaling_factor, DEFAULTS._asdict())
    write_whole(target / EMPTY_CAPTION_FILE, save(encoders.encode_caption("")))

    done = prepared_images(target)
    remaining = [item for item in sources if item.key not in done]
    with Journal(target / INDEX_FILE) as journal, ShardWriter(target, read_index(target)) as shards:
        run = inspect_on_ray if on_ray else inspect_images
        results = run(remaining, partial(inspect_image, options=options), workers)
        bar = tqdm(results, total=len(sources), initial=len(sources) - len(remaining))
        for record in encode_prepared(bar, shards, encoders):
            journal.append(record)
    if group_from:
        group_people(target, group_from)
    return finish(target, evaluation, unreadable)


def encode_prepared(
    results: Iterable[Result], shards: ShardWriter, encoders: ImageEncoders
) -> Iterator[dict[str, Any]]:
    """Write the tensors of all images; yield their records, also those of rejected images.

    An image that cannot be encoded is rejected, but only once another one can be: if it is the
    device that fails, no image is lost. Raises ValueError after MAX_UNENCODED in a row.
    """
    failed: list[RejectedImage] = []
    for result in results:
        if isinstance(result, RejectedImage):
            yield rejected_record(result)
            continue
        try:
            record = write_image(shards, result, encoders.encode(result))
        except OSError:  # of the disk
            raise
        except Exception as error:
            failed.append(
                RejectedImage(result.key, "not encoded", f"{type(error).__name__}: {error}")
            )
            if len(failed) == MAX_UNENCODED:
                raise ValueError(
                    f"source: {MAX_UNENCODED} images in a row cannot be encoded, the last one "
                    f"({result.key}) because of {failed[-1].detail}. Mend that and repeat the "
                    "command."
                ) from error
            continue
        yield from map(rejected_record, failed)
        failed.clear()
        yield {"image": result.key, **record}
    yield from map(rejected_record, failed)


def rejected_record(image: RejectedImage) -> dict[str, Any]:
    return {"image": image.key, "rejected": image.reason, "detail": image.detail}


def finish(target: Path, evaluation: int, unreadable: dict[str, str]) -> dict[str, Any]:
    """Hold out people, collect the embeddings of all images, and write and return the report."""
    records = read_index(target)
    used = [record for record in records if "file" in record]
    rejected = Counter(record["rejected"] for record in records if "rejected" in record)
    photos = Counter(person for record in used for person in set(record["people"]))
    report: dict[str, Any] = {
        "images": len(records),
        "used": len(used),
        "faces": sum(len(record["people"]) for record in used),
        "people": len(photos),
        "people_with_one_photo": sum(count == 1 for count in photos.values()),
        "rejected": dict(rejected.most_common()),
        "unreadable_shards": unreadable,
    }
    if used and (evaluation or read_split(target)):
        held_out = hold_out(target, evaluation)
        evaluated = write_evaluation(target, held_out, DEFAULTS._asdict())
        report["evaluation"] = {
            "folder": str(evaluation_folder(target)),
            "images": len(evaluated),
            "people": len(held_out),
            "left_out": len(used) - len(evaluated) - len(read_training_records(target)),
        }
    write_whole(target / REPORT_FILE, json.dumps(report, indent=1).encode())
    trained = read_training_records(target)
    if not trained:
        raise ValueError(f"source: none of {len(records)} images can be used: {dict(rejected)}.")
    write_embeddings(target, trained)
    return report


def format_report(report: dict[str, Any]) -> Iterable[str]:
    yield f"{report['used']} of {report['images']} images used"
    single = report["people_with_one_photo"]
    yield f"{report['faces']} faces of {report['people']} people, {single} with only one photo"
    for reason, count in report["rejected"].items():
        yield f"rejected, {reason}: {count}"
    for shard, reason in report["unreadable_shards"].items():
        yield f"shard {shard}: {reason}"
    if evaluation := report.get("evaluation"):
        yield (
            f"{evaluation['images']} images of {evaluation['people']} people, who are not trained "
            f"on, in {evaluation['folder']}; {evaluation['left_out']} images show people of both "
            "sets and are in neither"
        )


@report_errors
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
        "--max-aspect",
        type=float,
        default=DEFAULTS.max_aspect,
        help="an image whose long side is more than so many times its short one is rejected",
    )
    parser.add_argument(
        "--detector", default=DEFAULTS.detector, help="yunet, or an insightface folder"
    )
    parser.add_argument(
        "--poses",
        default=DEFAULTS.poses,
        help=f"find poses with rtmlib's models: {', '.join(RTMLIB_MODELS)}, or your own folder",
    )
    parser.add_argument(
        "--evaluation",
        type=int,
        default=0,
        help="about how many images go to TARGET-evaluation; no one in them is trained on",
    )
    parser.add_argument(
        "--group-people",
        type=float,
        default=0.0,
        metavar="COSINE",
        help="people whom the JSON does not name are one person from this cosine of their faces, "
        "such as 0.5",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that find people")
    parser.add_argument(
        "--ray",
        action="store_true",
        help="find people on a Ray cluster: that of RAY_ADDRESS, or a local one",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parsed = parser.parse_args(arguments)
    options = PrepareOptions(*(getattr(parsed, name) for name in PrepareOptions._fields))
    report = prepare_images(
        parsed.source,
        parsed.target,
        parsed.base,
        parsed.face_model,
        options,
        parsed.workers,
        parsed.device,
        parsed.evaluation,
        parsed.group_people,
        parsed.ray,
    )
    print("\n".join(format_report(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
