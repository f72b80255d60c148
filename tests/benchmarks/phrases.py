"""Whether each person wears the shirt that was asked for: demo models, paired noise, intervals.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/phrases.py FOLDER \\
        [--variants gate listed phrases] [--images 200] [--colours red ...] [--summary FILE]

Each person of a scene gets another colour. `listed` asks for them in one prompt that lists the
colours from left to right, `phrases` with Describe People, `gate` not at all; all three have the
region gate. `uniform` asks for one colour for all, in the prompt: what the models could reach.
`drawings` are scenes drawn with these shirts, through the VAE: what the reading of colours could
reach. A shirt's colour is read from the pixels below the face, between the shoulders of the pose:
the nearest of the demo world's colours to their median. The captions of the demo world have no
words for expressions or hair, so only shirts are asked for. Each result is written to
FOLDER/results.jsonl at once; the same command resumes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import quality

COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "grey", "black"]
SHOULDERS = (2, 5)  # of an OpenPose skeleton


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--variants", nargs="+", default=["gate", "listed", "phrases"])
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--colours", nargs="+", choices=COLOURS, default=COLOURS)
    parser.add_argument("--seed", type=int, default=1, help="of the scenes, colours and noise")
    parser.add_argument("--summary", type=Path, help="a JSON file for the table as well")
    return parser.parse_args()


def read_shirt(image: np.ndarray, pose: np.ndarray) -> str:
    """Return the colour of the shirt of a pose (18, 3) in an image (H, W, 3) uint8."""
    import cv2

    from idpatch_core.demo_world.people import SHIRTS

    (x0, x1), y = sorted(pose[SHOULDERS, 0]), pose[SHOULDERS, 1].mean()
    side = x1 - x0
    top, bottom = (round(max(y + share * side, 0)) for share in (-0.1, 0.35))
    left, right = (round(max(x, 0)) for x in (x0 + 0.1 * side, x1 - 0.1 * side))
    pixels = image[min(top, len(image) - 2) : bottom, left:right].reshape(-1, 3)
    median = np.median(pixels, axis=0)
    names = list(SHIRTS)
    colours = [[int(SHIRTS[name][i : i + 2], 16) for i in (1, 3, 5)] for name in names]
    lab = cv2.cvtColor(np.float32([[median, *colours]]) / 255, cv2.COLOR_RGB2LAB)[0]
    return names[int(np.linalg.norm(lab[1:] - lab[0], axis=1).argmin())]


def choose_colours(colours: list[str], count: int, seed: int, index: int) -> list[str]:
    """Return another colour for each person of a scene."""
    return np.random.default_rng([seed, index, 50]).permutation(colours)[:count].tolist()


def make_image(studio: Any, row: dict[str, Any], variant: str, asked: list[str]) -> np.ndarray:
    """Return the image of a case in which these colours are asked for, as the variant does."""
    wall = row["prompt"].split(",")[0]  # without the colour of all shirts
    positive = {
        "listed": f"{wall}, wearing {', '.join(asked[:-1])} and {asked[-1]} shirts",
        "uniform": f"{wall}, wearing {asked[0]} shirts",
    }.get(variant, wall)
    prepared = studio.prepare({**row, "prompt": positive})
    if variant != "phrases":
        return studio.make(row, prepared, quality.find_variant(studio.nodes, "gate"))
    lines = json.dumps([f"wearing {colour} shirt" for colour in asked])
    caption = f"one person {wall[wall.index('in front') :]}, {{phrase}}"
    describe = studio.nodes.phrases.IDPatchPhrases.execute

    def with_phrases(model: Any, hint: Any, _: Any, settings: Any) -> Any:
        return describe(model, studio.clip, hint, lines, caption).args[0], settings

    return studio.make(row, prepared, with_phrases)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make and score every image that is missing; return all results."""
    import torch

    pack = quality.start_comfyui()
    from tqdm import tqdm

    from idpatch_core.journal import Journal, read

    file = options.folder / "results.jsonl"
    results = read(file)
    done = {(r["variant"], r["index"]) for r in results if r["seed"] == options.seed}
    studio = quality.Studio(pack, options.folder)
    with torch.inference_mode(), Journal(file) as journal:
        for index in tqdm(range(options.images)):
            missing = [name for name in options.variants if (name, index) not in done]
            if not missing:
                continue
            case = (options.people, 1, options.seed, index, studio.portraits)
            for name in missing:
                asked = choose_colours(options.colours, options.people, options.seed, index)
                if name == "uniform":
                    asked = [options.colours[index % len(options.colours)]] * options.people
                row, drawing = quality.plan_case(studio.people, *case, shirts=asked)
                if name == "drawings":
                    image = studio.pass_through_vae(drawing)
                else:
                    image = make_image(studio, row, name, asked)
                poses = [person["pose_keypoints_2d"] for person in row["pose"][0]["people"]]
                read_colours = [read_shirt(image, np.reshape(pose, (-1, 3))) for pose in poses]
                result = {"variant": name, "index": index, "seed": options.seed}
                result |= {"people": options.people, "asked": asked, "read": read_colours}
                result |= {"similarity": studio.score(row, image)}
                journal.append(result)
                results.append(result)
    return results


def summarise(results: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a line for each variant, over the images that all variants have."""
    from idpatch_core.verification.tally import Tally

    by = {(r["variant"], r["index"]): r for r in results if r["seed"] == options.seed}
    complete = [
        index
        for index in range(options.images)
        if all((name, index) in by for name in options.variants)
    ]
    lines = []
    for name in options.variants:
        rows = [by[name, index] for index in complete]
        pairs = [list(zip(row["asked"], row["read"], strict=True)) for row in rows]
        shirts = [Tally(sum(a == b for a, b in each), len(each)) for each in pairs]
        columns = [shirts, *zip(*map(quality.tallies, rows), strict=True)]
        line: dict[str, Any] = {"variant": name, "images": len(rows)}
        for metric, column in zip(("shirts", "association", "similarity"), columns, strict=True):
            line[metric] = quality.mean_and_interval(column)
        line["by_colour"] = {
            colour: [sum(read == colour for read in answers), len(answers)]
            for colour in options.colours
            if (answers := [read for each in pairs for asked, read in each if asked == colour])
        }
        lines.append(line)
    return lines


def main() -> None:
    options = parse_arguments()
    lines = summarise(measure(options), options)
    print("| variant | images | shirts | association | similarity |")
    print("|---|---:|---|---|---|")
    for line in lines:
        metrics = [line[metric] for metric in ("shirts", "association", "similarity")]
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*metric) for metric in metrics]
        print(f"| {line['variant']} | {line['images']} | {' | '.join(cells)} |")
    for line in lines:
        colours = ", ".join(f"{name} {a}/{b}" for name, (a, b) in line["by_colour"].items())
        print(f"{line['variant']}: {colours}")
    if options.summary:
        quality.write_summary(options.summary, lines, options)


if __name__ == "__main__":
    main()
