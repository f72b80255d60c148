"""Writes a prepared folder: the tensors of its images, its index, and what is collected of them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ..journal import write_whole
from .find_people import PreparedImage
from .identity_split import People, choose_people
from .prepared_data import (
    EMBEDDINGS_FILE,
    EMPTY_CAPTION_FILE,
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
    SPLIT_FILE,
    read_index,
    read_info,
    read_split,
)
from .prepared_shards import ShardWriter, find_complete, image_slice, read_tensors

Record = dict[str, Any]


def write_info(
    target: Path, settings: Record, scaling_factor: float, defaults: Record, of: str = ""
) -> None:
    """Write the settings that a folder was made with; `of` names the folder that it is a part of.

    Raises ValueError if a folder that exists was started with other settings, which are those in
    `defaults` if it does not name them.
    """
    if (target / INFO_FILE).is_file():
        info = read_info(target)
        if info.get("version") != FORMAT_VERSION or info.get("part_of", "") != of:
            raise ValueError(
                f"target: {target} was made in another way, with version {info.get('version')} "
                f"(now {FORMAT_VERSION}). Choose another folder, or remove it."
            )
        before = {**defaults, **info["settings"]}
        for name, value in settings.items():
            if value != before[name]:
                raise ValueError(
                    f"target: {target} was started with {name} {before[name]!r}, now it is "
                    f"{value!r}. Choose another folder, or restore the old value to resume."
                )
    info = {"version": FORMAT_VERSION, "settings": settings, "scaling_factor": scaling_factor}
    if of:
        info["part_of"] = of
    write_whole(target / INFO_FILE, json.dumps(info, indent=1).encode())


def write_image(shards: ShardWriter, image: PreparedImage, tensors: dict[str, Tensor]) -> Record:
    """Write an image's tensors; return its record in the index."""
    name = hashlib.sha256(image.key.encode()).hexdigest()[:32]
    content = save({k: t.contiguous() for k, t in tensors.items()})
    place = shards.append(f"{name}.safetensors", content)
    height, width = image.pixels.shape[:2]
    return {**place, "width": width, "height": height, "people": image.groups}


def prepared_images(target: Path) -> set[str]:
    """Return the images that are done: rejected, or used with tensors that exist."""
    records = read_index(target)
    existing = find_complete(image_slice(target, r) for r in records if "file" in r)
    return {r["image"] for r in records if "file" not in r or image_slice(target, r) in existing}


def write_embeddings(target: Path, records: Iterable[Record]) -> None:
    """Collect the embeddings of images in one file."""
    embeddings = [read_tensors(image_slice(target, record))["embeddings"] for record in records]
    write_whole(target / EMBEDDINGS_FILE, save({"embeddings": torch.cat(embeddings)}))


def hold_out(target: Path, count: int) -> set[str]:
    """Return the people held out for about `count` evaluation images; they are chosen once.

    Raises ValueError if they were chosen for another number of images.
    """
    split = read_split(target)
    if split is None:
        used = [record for record in read_index(target) if "file" in record]
        images = [People(record["image"], frozenset(record["people"])) for record in used]
        split = {"evaluation": count, "people": sorted(choose_people(images, count))}
        write_whole(target / SPLIT_FILE, json.dumps(split).encode())
    if count not in (0, split["evaluation"]):
        raise ValueError(
            f"--evaluation: {target} holds out people for {split['evaluation']} images, got "
            f"{count}. Restore that number, or remove {SPLIT_FILE} before anything is trained."
        )
    return set(split["people"])


def write_evaluation(target: Path, held_out: set[str], defaults: Record) -> list[Record]:
    """Write the images that show only people held out to a folder beside the target.

    Returns their records.
    """
    info, folder = read_info(target), evaluation_folder(target)
    used = [record for record in read_index(target) if "file" in record]
    records = [record for record in used if held_out.issuperset(record["people"])]
    write_info(folder, info["settings"], info["scaling_factor"], defaults, of=target.name)
    for file in dict.fromkeys(record["file"] for record in records):
        _link(target / file, folder / file)
    if records:
        write_embeddings(folder, records)
    write_whole(folder / EMPTY_CAPTION_FILE, (target / EMPTY_CAPTION_FILE).read_bytes())
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_whole(folder / INDEX_FILE, lines.encode())
    return records


def evaluation_folder(target: Path) -> Path:
    return target.with_name(f"{target.name}-evaluation")


def _link(source: Path, target: Path) -> None:
    """Let a file have a second name, or copy it where the disk cannot."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
