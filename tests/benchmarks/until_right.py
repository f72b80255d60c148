"""Who is right with one image, and with Sample Until Right, and how many images that takes.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/until_right.py FOLDER \\
        [--images 200] [--people 4] [--gate] [--tries 4] [--summary FILE]

The scenes are those of quality.py: drawn people whom the demo models were not trained on. The
encoder that conditions checks the images and decides when to stop; the one that does not scores
them. `resample` samples again where someone is wrong, `refine` refines them first. Their first
image is that of `one image`, so that the differences are paired; where it passes the check, all
three are the same. Each result is written to FOLDER/until_right.jsonl at once; the same command
resumes. A refined head counts as so many images as it has steps in comparison, although its crop
is smaller than the image.
"""

import argparse
import json
from pathlib import Path
from typing import Any

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
from refine import REFINE, describe_one_person, encode_text, to_pixels

ONE, RESAMPLE, REFINED = "one image", "resample", "refine"
VARIANTS = (ONE, RESAMPLE, REFINED)
HEADS = {"refine_steps": REFINE["steps"], "refine_denoise": REFINE["denoise"]}
HEADS |= {name: REFINE[name] for name in ("crop_size", "face_size")}
FOUND = ("sampled", "heads", "passed", "similarity")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--gate", action="store_true", help="make the images with the Region Gate")
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and the noise")
    parser.add_argument("--summary", type=Path, help="a file for the table as JSON")
    return parser.parse_args()


class Runner:
    """Runs Sample Until Right on the cases of a studio."""

    def __init__(self, studio: Studio, options: argparse.Namespace):
        self.studio, self.options = studio, options
        self.gate = find_variant(studio.nodes, "gate" if options.gate else "plain")
        scorer = studio.nodes.scorer.IDPatchLoadScorer
        self.scorer = scorer.execute("conditioning", 0.0, studio.face_model).args[0]

    def run(self, row: dict[str, Any], prepared: Any, variant: str) -> dict[str, Any]:
        """Return what one variant makes of a case; `heads` counts the heads that were refined."""
        studio, (patches, hint, texts) = self.studio, prepared
        model, settings = self.gate(studio.model, hint, patches, dict(SETTINGS))
        if variant == REFINED:
            settings["one_person"] = encode_text(studio, describe_one_person(row["prompt"]))
        output = studio.nodes.until_right.IDPatchUntilRight.execute(
            model,
            *texts,
            studio.vae,
            studio.control_net,
            patches,
            hint,
            self.scorer,
            1000 * row["seed"],  # the next seeds are those of no other case
            tries=1 if variant == ONE else self.options.tries,
            least_similarity=0.0,
            batch_size=1,
            **settings,
            **HEADS,
        )
        image, report, sampled, passed = output.args
        heads = sum(
            len(line.split(", ")[2].split(" and "))
            for line in report.splitlines()[1:]
            if " refined: " in line
        )
        result = {"sampled": sampled, "heads": heads, "passed": passed}
        return result | {"similarity": studio.score(row, to_pixels(image))}


def measure(options: argparse.Namespace) -> dict[tuple[str, int], dict[str, Any]]:
    """Run every case that is missing; return all results by variant and index."""
    import torch

    pack = start_comfyui()
    from tqdm import tqdm

    from idpatch_core.journal import Journal, read

    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "until_right.jsonl"
    about = {name: getattr(options, name) for name in ("gate", "people", "tries", "seed")}
    results = {
        (result["variant"], result["index"]): result
        for result in (read(file) if file.exists() else [])
        if all(result[name] == value for name, value in about.items())
    }
    studio = Studio(pack, options.folder)
    runner = Runner(studio, options)
    with torch.inference_mode(), Journal(file) as journal:
        for index in tqdm(range(options.images)):
            scene = (options.people, 1, options.seed, index)
            row, _ = plan_case(studio.people, *scene, studio.portraits)
            prepared = None
            for variant in VARIANTS:
                if (variant, index) in results:
                    continue
                first = results.get((ONE, index))
                if first is None or not first["passed"]:
                    prepared = prepared or studio.prepare(row)
                    found = runner.run(row, prepared, variant)
                else:
                    found = {name: first[name] for name in FOUND}
                result = {"variant": variant, "index": index, **about, **found}
                journal.append(result)
                results[variant, index] = result
    return results


def summarise(
    results: dict[tuple[str, int], dict[str, Any]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row for each variant: the figures, and the differences from one image."""
    indices = range(options.images)
    first = [tallies(results[ONE, index]) for index in indices]
    rows = []
    for variant in VARIANTS:
        own = [results[variant, index] for index in indices]
        row: dict[str, Any] = {"variant": variant, "images": options.images}
        row |= {"people": options.people, "gate": options.gate, "seed": options.seed}
        for kind, figure in enumerate(("association", "similarity")):
            column = [tallies(result)[kind] for result in own]
            row[figure] = mean_and_interval(column)
            change = paired_interval([pair[kind] for pair in first], column)
            row[f"{figure}_change"] = [round(v, 4) for v in change]
        share = HEADS["refine_steps"] / SETTINGS["steps"]
        counts = {
            "sampled": [result["sampled"] for result in own],
            "heads": [result["heads"] for result in own],
            "cost": [result["sampled"] + share * result["heads"] for result in own],
            "passed": [float(result["passed"]) for result in own],
        }
        row |= {name: mean_with_interval(values) for name, values in counts.items()}
        rows.append(row)
    return rows


def mean_with_interval(values: list[float]) -> list[float]:
    """Return the mean over images with its 95 % bootstrap interval."""
    from idpatch_core.verification.tally import Tally

    return mean_and_interval([Tally(float(value), 1) for value in values])


def report_rows(rows: list[dict[str, Any]]) -> None:
    print("| variant | association | similarity | images sampled | heads refined | in images |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        figures = ("association", "similarity", "sampled", "heads", "cost")
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*row[figure]) for figure in figures]
        print(f"| {row['variant']} | {' | '.join(cells)} |")


def write_tries_summary(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the table as JSON, with its command; the rows of other commands stay."""
    file, gate = options.summary, " --gate" if options.gate else ""
    command = f"until_right.py FOLDER --images {options.images} --people {options.people}{gate}"
    command += f" --tries {options.tries} --seed {options.seed}"
    shown: dict[str, Any] = {"settings": SETTINGS, "heads": HEADS, "commands": {}}
    if file.exists():
        shown = json.loads(file.read_text("utf-8"))
    shown["commands"][command] = rows
    file.write_text(json.dumps(shown, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    arguments = parse_arguments()
    found = summarise(measure(arguments), arguments)
    if arguments.summary:
        write_tries_summary(found, arguments)
    report_rows(found)
