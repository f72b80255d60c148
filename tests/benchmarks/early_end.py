"""What it costs in likeness to end the ControlNet or the guidance early: demo models, paired noise.

Each image is made with each variant from the same people, scene, prompt and noise, as in
`quality.py`, and compared with the full run of that image. Association is the share of people
whose face is most similar to their own reference, similarity the mean cosine, both by the encoder
that does not condition; the distance of two images is the root mean square of their pixels'
difference, in levels of 255.
The arithmetic is that of the two networks of SDXL's size, from the result of `arithmetic`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from idpatch_core.schedule import count_first_steps

from . import tables

FULL = "full"
VARIANTS = (
    "control_end=0.8",
    "control_end=0.6",
    "guidance_end=0.6",
    "guidance_end=0.4",
    "control_end=0.8,guidance_end=0.6",
    "steps=12",
    "steps=15,guidance_end=0.6",
    "steps=15,guidance_end=0.4",  # preset fast, of 20 steps
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and the noise")
    parser.add_argument("--journal", type=Path, help="a file of finished images, to resume")


def read_variant(name: str) -> dict[str, Any]:
    """Return the sampler's settings of a variant: `control_end=0.6,steps=14`."""
    if name == FULL:
        return {}
    pairs = (part.partition("=") for part in name.split(","))
    return {key: int(value) if key == "steps" else float(value) for key, _, value in pairs}


def make_images(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return for each image and variant the association, similarity and distance."""
    import torch

    from . import quality

    pack = quality.start_comfyui()
    import comfy.utils

    from idpatch_core.demo_world.score import make_case, plan_test_scene
    from idpatch_core.journal import Journal, read
    from idpatch_core.verification.assignment import make_assignment
    from idpatch_core.verification.metrics import association_accuracy, face_similarity

    variants = [FULL, *options.variants]
    comfy.utils.PROGRESS_BAR_ENABLED = False
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        folder = Path(temporary)
        file = options.journal or folder / "images.jsonl"
        rows = list(read(file)) if file.exists() else []
        done = {(row["variant"], row["index"]) for row in rows}
        missing = [
            (index, [name for name in variants if (name, index) not in done])
            for index in range(options.images)
        ]
        studio = quality.Studio(pack, folder) if any(names for _, names in missing) else None
        with Journal(file) as journal:
            for index, names in missing:
                if not names or studio is None:
                    continue
                print(f"\rimage {index + 1} of {options.images}", end="", file=sys.stderr)
                scene = plan_test_scene(studio.people, options.people, options.seed, index)
                noise = 1000 * options.seed + index
                case = make_case(scene, f"{index:04d}", noise, studio.portraits, False)
                prepared = studio.prepare(case)
                full = studio.make(case, prepared, _change({}))
                for name in names:
                    image = full
                    if name != FULL:
                        image = studio.make(case, prepared, _change(read_variant(name)))
                    similarity = studio.score(case, image)
                    assignment = make_assignment(similarity, range(options.people))
                    row = {
                        "variant": name,
                        "index": index,
                        "association": list(association_accuracy(assignment)),
                        "similarity": list(face_similarity(assignment)),
                        "distance": float(np.sqrt(((image.astype(float) - full) ** 2).mean())),
                    }
                    journal.append(row)
                    rows.append(row)
    print(file=sys.stderr)
    return [row for row in rows if row["index"] < options.images and row["variant"] in variants]


def _change(changes: dict[str, Any]) -> Any:
    return lambda model, hint, patches, settings: (model, {**settings, **changes})


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return a row for each variant: the means, and the differences to the full run."""
    from . import quality

    rows = make_images(options)
    by = {(row["variant"], row["index"]): row for row in rows}
    images, whole = range(options.images), int(quality.SETTINGS["steps"])
    table = []
    for name in (FULL, *options.variants):
        own = [by[name, index] for index in images]
        full = [by[FULL, index] for index in images]
        entry: dict[str, Any] = {"variant": name, "settings": read_variant(name)}
        for kind in ("association", "similarity"):
            total = np.array([row[kind] for row in own]).sum(0)
            entry[kind] = total[0] / total[1]
            columns = ([tuple(row[kind]) for row in part] for part in (full, own))
            entry[f"{kind}_change"] = quality.paired_interval(*columns)
        entry["distance"] = statistics.mean(row["distance"] for row in own)
        entry["arithmetic"] = count_arithmetic(**{**{"steps": whole}, **read_variant(name)}) / (
            count_arithmetic(whole)
        )
        table.append(entry)
    settings = {key: getattr(options, key) for key in ("people", "images", "seed")}
    return {"settings": {**settings, **quality.SETTINGS}, "rows": table}


def count_arithmetic(steps: int, control_end: float = 1.0, guidance_end: float = 1.0) -> float:
    """Return the TFLOP of a run at SDXL's size with 77 tokens."""
    result = json.loads(tables.result_path("arithmetic").read_text())["result"]
    total = 0.0
    for step in range(steps):
        rows = 2 if step < count_first_steps(steps, guidance_end) else 1
        total += rows * result["unet_tflop"]
        if step < count_first_steps(steps, control_end):
            total += rows * result["control_net_tflop"] + result["hint_tflop"]
    return total
