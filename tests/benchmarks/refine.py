"""Compares images of the demo models before and after Refine Identities, with intervals.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/refine.py FOLDER \\
        [--images 200] [--people 4] [--gate] [--settings denoise=0.8 keep=if_better ...]

The images are those of quality.py: drawn people whom the demo models were not trained on, scored
by the encoder that does not condition. Whether a head is better is decided by the one that does.
Each setting is applied to the same image, so that the differences are paired; a setting may join
several, such as denoise=0.6,steps=20. Each result is written to FOLDER/refine.jsonl at once; the
same command resumes.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from quality import (
    SETTINGS,
    Studio,
    find_variant,
    mean_and_interval,
    paired_interval,
    plan_case,
    start_comfyui,
    tallies,
)

# The demo models were trained on images 96 pixels high; faces of one person are 25 to 35 wide.
REFINE = {"people": "all", "names": "", "small_share": 0.1, "steps": 10, "cfg": 2.5}
REFINE |= {"sampler_name": "euler", "scheduler": "reference", "denoise": 0.8, "crop_size": 96}
REFINE |= {"face_size": 30, "keep": "if_better", "control_strength": 1.0, "guide_patches": True}
COUNTS = {"two people": "one person", "three people": "one person", "four people": "one person"}
BEFORE, DEFAULTS = "before", "refined"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--gate", action="store_true", help="make the images with the Region Gate")
    parser.add_argument("--settings", nargs="+", default=[DEFAULTS], help="differences, see above")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and the noise")
    parser.add_argument("--summary", type=Path, help="a file for the table as JSON")
    parser.add_argument("--save", type=int, default=0, help="how many images to save")
    return parser.parse_args()


def read_setting(text: str) -> dict[str, Any]:
    """Return the node's inputs of a setting such as denoise=0.6,steps=20."""
    changed = {}
    for part in [] if text == DEFAULTS else text.split(","):
        name, _, value = part.partition("=")
        if name not in REFINE:
            raise SystemExit(f"--settings: expected one of {', '.join(REFINE)}, got {name}")
        kind = type(REFINE[name])
        changed[name] = value == "True" if kind is bool else kind(value)
    return {**REFINE, **changed}


def describe_one_person(prompt: str) -> str:
    """Return the prompt of a group as that of one person."""
    for group, one in COUNTS.items():
        prompt = prompt.replace(group, one)
    return prompt.replace("shirts", "shirt")


def encode_text(studio: Studio, text: str) -> Any:
    return studio.clip.encode_from_tokens_scheduled(studio.clip.tokenize(text))


def refine(
    studio: Studio, seed: int, prepared: Any, one: Any, image: Any, setting: dict[str, Any]
) -> tuple[Any, str]:
    """Return the refined image (1, H, W, 3) and the node's report; `one` is the positive text."""
    patches, hint, (_, negative) = prepared
    networks = studio.vae, studio.control_net, patches, hint, studio.face_model
    node = studio.nodes.refine.IDPatchRefine
    return node.execute(image, studio.model, one, negative, *networks, seed=seed, **setting).args


def to_pixels(image: Any) -> np.ndarray:
    return image[0].clamp(0, 1).mul(255).round().byte().numpy()


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make, refine and score every image that is missing; return all results."""
    import torch

    pack = start_comfyui()
    from PIL import Image
    from tqdm import tqdm

    from idpatch_core.journal import Journal, read

    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "refine.jsonl"
    results = list(read(file)) if file.exists() else []
    done = {(r["setting"], r["index"]) for r in results if is_of_run(r, options)}
    settings = {text: read_setting(text) for text in options.settings}
    studio = Studio(pack, options.folder)
    gate = find_variant(pack.nodes, "gate" if options.gate else "plain")
    with torch.inference_mode(), Journal(file) as journal:
        for index in tqdm(range(options.images)):
            missing = [name for name in (BEFORE, *settings) if (name, index) not in done]
            if not missing:
                continue
            noise = 1000 * options.seed + index
            scene = (options.people, 1, options.seed, index)
            row, _ = plan_case(studio.people, *scene, studio.portraits)
            prepared = studio.prepare(row)
            one = encode_text(studio, describe_one_person(row["prompt"]))
            start = time.process_time()
            image = torch.from_numpy(studio.make(row, prepared, gate)).float()[None] / 255
            seconds = time.process_time() - start
            for name in missing:
                new, report = image, ""
                if name != BEFORE:
                    start = time.process_time()
                    new, report = refine(studio, noise, prepared, one, image, settings[name])
                    seconds = (time.process_time() - start) / options.people
                pixels = to_pixels(new)
                if index < options.save:
                    Image.fromarray(pixels).save(options.folder / f"{index:04d}-{name}.png")
                result = {"setting": name, "gate": options.gate, "people": options.people}
                result |= {"seed": options.seed, "index": index, "cpu_seconds": round(seconds, 3)}
                result |= {"similarity": studio.score(row, pixels)}
                result |= {"kept": report.count("  refined\n") + report.endswith("  refined")}
                journal.append(result)
                results.append(result)
    return [result for result in results if is_of_run(result, options)]


def is_of_run(result: dict[str, Any], options: argparse.Namespace) -> bool:
    wanted = (options.gate, options.people, options.seed)
    return (result["gate"], result["people"], result["seed"]) == wanted


def summarise(results: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each setting: the figures, and the differences from before."""
    by = {(r["setting"], r["index"]): r for r in results}
    rows = []
    for name in (BEFORE, *options.settings):
        own = [by[name, index] for index in range(options.images)]
        before = [tallies(by[BEFORE, index]) for index in range(options.images)]
        row: dict[str, Any] = {"setting": name, "images": options.images}
        row |= {"people": options.people, "gate": options.gate, "seed": options.seed}
        for kind, figure in enumerate(("association", "similarity")):
            column = [tallies(result)[kind] for result in own]
            row[figure] = mean_and_interval(column)
            change = paired_interval([pair[kind] for pair in before], column)
            row[f"{figure}_change"] = [round(v, 4) for v in change]
        row["kept"] = round(float(np.mean([r["kept"] for r in own])) / options.people, 3)
        timed = [r for r in own if "cpu_seconds" in r and "cpu_seconds" in by[BEFORE, r["index"]]]
        ratios = [r["cpu_seconds"] / by[BEFORE, r["index"]]["cpu_seconds"] for r in timed]
        row["timed"] = len(timed)
        row["time_of_image"] = round(float(np.median(ratios)), 3) if timed else None
        rows.append(row)
    return rows


def report_rows(rows: list[dict[str, Any]]) -> None:
    print("| setting | association | similarity | change | kept | CPU time a person |")
    print("|---|---|---|---|---:|---:|")
    for row in rows:
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*row[k]) for k in ("association", "similarity")]
        change = ", ".join(
            "{:+.3f} ({:+.3f} to {:+.3f})".format(*row[f"{k}_change"])
            for k in ("association", "similarity")
        )
        figures = f"{row['kept']:.2f} | {row['time_of_image']}"
        print(f"| {row['setting']} | {' | '.join(cells)} | {change} | {figures} |")


def write_refine_summary(rows: list[dict[str, Any]], file: Path) -> None:
    """Write the table as JSON, with its command."""
    command = " ".join(["refine.py", "FOLDER", *sys.argv[2:]])
    shown = {"command": command, "settings": SETTINGS, "refine": REFINE, "lines": rows}
    file.write_text(json.dumps(shown, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    arguments = parse_arguments()
    found = summarise(measure(arguments), arguments)
    if arguments.summary:
        write_refine_summary(found, arguments.summary)
    report_rows(found)
