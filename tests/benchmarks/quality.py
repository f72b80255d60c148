"""What an option does to likeness and to who is where: demo models, paired noise, intervals.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/quality.py FOLDER \\
        [--variants plain gate] [--people 2 3 4] [--rows 1] [--images 200] [--summary FILE]

Every image is made through the nodes, for drawn people whom the demo models were not trained on.
More than four people, whom the demo models were not trained on either, have a canvas twice as
wide, or with `--rows 2` twice as high. The variant `drawings` is the drawn scene itself, through
the VAE: what the models could reach.
All variants of an image have the same people, scene, prompt and noise, so that the differences
are paired. Association is the share of people whose face is most similar to their own reference,
similarity the mean cosine, both by the encoder that does not condition. Each result is written to
FOLDER/results.jsonl at once; the same command resumes.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [os.environ["COMFYUI_PATH"], str(HERE.parents[1]), str(HERE.parent / "support")]
SETTINGS = {"steps": 20, "cfg": 2.5, "sampler_name": "euler", "scheduler": "reference"}
SIDES, SECOND_SCENE = ("width", "height"), 100_000
DRAWINGS = "drawings"  # the scene itself instead of a generated image
TRAINED = 4  # people in one scene, at most
SETTINGS |= {"injection_ratio": 1.0, "control_strength": 1.0, "guide_patches": True}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--variants", nargs="+", default=["plain", "gate"])
    parser.add_argument("--people", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--rows", type=int, choices=[1, 2], default=1, help="of people, from 6 on")
    parser.add_argument("--images", type=int, default=200, help="for each number of people")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and the noise")
    parser.add_argument("--summary", type=Path, help="a JSON file for the table as well")
    return parser.parse_args()


def start_comfyui() -> Any:
    """Return the pack, loaded in ComfyUI on the CPU."""
    arguments, sys.argv = sys.argv, ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.cli_args
    from pack import load_pack

    sys.argv = arguments
    return load_pack()


Variant = Callable[[Any, Any, Any, dict[str, Any]], tuple[Any, dict[str, Any]]]


def find_variant(nodes: Any, name: str) -> Variant:
    """Return what a variant changes: (model, id_hint, sampler settings) -> (model, settings)."""
    kind, _, value = name.partition("=")
    if kind in ("plain", DRAWINGS):
        return lambda model, hint, patches, settings: (model, settings)
    if kind == "gate":
        outside = float(value or 0.01)
        return lambda model, hint, patches, settings: (
            nodes.region_gate.IDPatchRegionGate.execute(model, hint, outside)[0],
            settings,
        )
    if kind in SETTINGS:
        return lambda model, hint, patches, settings: (
            model,
            {**settings, kind: type(SETTINGS[kind])(value)},
        )
    raise SystemExit(f"--variants: expected plain, gate, gate=0.1, cfg=4 ..., got {name}")


class Studio:
    """The demo models, and the people whom they were not trained on."""

    def __init__(self, pack: Any, folder: Path):
        from idpatch_core.arcface import load_arcface
        from idpatch_core.demo_world.score import DEMO_SCORER, find_detectable_people
        from idpatch_core.demo_world.world import read_world

        self.nodes = pack.nodes
        (self.model, self.clip, self.vae, self.control_net, self.id_patch, self.face_model) = (
            self.nodes.demo_models.IDPatchLoadDemoModels.execute().args
        )
        people = read_world().people.evaluation
        self.portraits = (folder / "portraits").absolute()
        self.people = find_detectable_people(self.portraits, *people)
        self.scorer = load_arcface(DEMO_SCORER).float()
        self._identities: dict[str, Any] = {}
        self._references: dict[str, Any] = {}

    def identity(self, name: str) -> Any:
        """Return a person's identity by the Face Encoder."""
        if name not in self._identities:
            path = self.portraits / f"{name.removeprefix('drawn-')}.png"
            image = self.nodes.images.load_image(path)
            encoder = self.nodes.faces.IDPatchFaceEncoder
            (self._identities[name],) = encoder.execute(self.face_model, image, name).args[0]
        return self._identities[name]

    def reference(self, name: str) -> np.ndarray:
        """Return a person's embedding by the encoder that scores."""
        from idpatch_core.demo_world.portraits import draw_portrait

        if name not in self._references:
            portrait = draw_portrait(int(name.removeprefix("drawn-")))
            keypoints = portrait.keypoints.astype(np.float32)
            self._references[name] = self.embed([(portrait.pixels, keypoints)])[0]
        return self._references[name]

    def embed(self, faces: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        import torch

        from idpatch_core.alignment import align_face
        from idpatch_core.arcface import embed

        crops = np.stack([align_face(image, keypoints) for image, keypoints in faces])
        return embed(self.scorer, torch.from_numpy(crops)).numpy()

    def prepare(self, row: dict[str, Any]) -> Any:
        """Return the ID patches, the hint and both texts of a case."""
        identities = [self.identity(person["name"]) for person in row["people"]]
        (patches,) = self.nodes.model.IDPatchBuilder.execute(self.id_patch, identities).args
        points = [{"x": p["point"][0], "y": p["point"][1]} for p in row["people"]]
        placer = self.nodes.placer.IDPatchPlacer
        hint = placer.execute(
            patches,
            row["width"],
            row["height"],
            json.dumps(points),
            "placements",
            pose_keypoint=row["pose"],
        ).args[0]
        texts = [
            self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text))
            for text in (row["prompt"], row["negative"])
        ]
        return patches, hint, texts

    def make(self, row: dict[str, Any], prepared: Any, variant: Variant) -> np.ndarray:
        """Return the image (H, W, 3) uint8 of a case."""
        patches, hint, (positive, negative) = prepared
        model, settings = variant(self.model, hint, patches, dict(SETTINGS))
        latent = self.nodes.sampler.IDPatchSampler.execute(
            model,
            positive,
            negative,
            self.control_net,
            patches,
            hint,
            row["seed"],
            **settings,
        ).args[0]
        return self.decode(latent["samples"])

    def decode(self, latent: Any) -> np.ndarray:
        image = self.vae.decode(latent)[0]
        return image.clamp(0, 1).mul(255).round().byte().numpy()

    def pass_through_vae(self, drawing: np.ndarray) -> np.ndarray:
        """Return a drawing (H, W, 3) uint8 as the VAE reconstructs it."""
        import torch

        return self.decode(self.vae.encode(torch.from_numpy(drawing)[None].float() / 255))

    def score(self, row: dict[str, Any], image: np.ndarray) -> list[list[float]]:
        """Return the cosine of each reference with the face at each person's keypoints."""
        faces = [(image, np.array(p["keypoints"], np.float32)) for p in row["people"]]
        references = np.stack([self.reference(p["name"]) for p in row["people"]])
        return (references @ self.embed(faces).T).tolist()


def plan_case(
    people: list[int],
    count: int,
    rows: int,
    seed: int,
    index: int,
    folder: Path,
    shirts: Sequence[str] = (),
) -> Any:
    """Return a case as `demo_world.score.make_case` does, and its drawing.

    More than four people are two scenes of half as many, side by side or one above the other.
    `shirts` are the colours that are drawn, from left to right; without them the scene decides.
    """
    from idpatch_core.demo_world.scenes import FIRST_CANVAS, draw_scene
    from idpatch_core.demo_world.score import make_case, plan_test_scene

    halves = [people] if count <= TRAINED else [people[::2], people[1::2]]
    offset = (FIRST_CANVAS.width, 0) if rows == 1 else (0, FIRST_CANVAS.height)
    cases, drawings = [], []
    for number, half in enumerate(halves):
        plan = plan_test_scene(half, count // len(halves), seed, index + number * SECOND_SCENE)
        case = make_case(plan, f"{index:04d}", 1000 * seed + index, folder, False)
        cases.append(move_case(case, *(number * side for side in offset)))
        if shirts:
            dressed = [
                person._replace(appearance=person.appearance._replace(shirt=shirt))
                for person, shirt in zip(plan.people, shirts, strict=True)
            ]
            plan = plan._replace(people=dressed)
        drawings.append(draw_scene(plan)[0])
    row = cases[0]
    for other in cases[1:]:
        row["people"] += other["people"]
        row["pose"][0]["people"] += other["pose"][0]["people"]
        row["width"], row["height"] = (row[side] + o for side, o in zip(SIDES, offset, strict=True))
        row["pose"][0] |= {"canvas_width": row["width"], "canvas_height": row["height"]}
    return row, np.concatenate(drawings, axis=2 - rows)


def move_case(case: dict[str, Any], dx: int, dy: int) -> dict[str, Any]:
    """Move the people of a case by (dx, dy) pixels."""
    for person in case["people"]:
        person["point"] = [person["point"][0] + dx, person["point"][1] + dy]
        person["keypoints"] = [[x + dx, y + dy] for x, y in person["keypoints"]]
    for person in case["pose"][0]["people"]:
        pose = np.array(person["pose_keypoints_2d"]).reshape(-1, 3)
        pose[pose[:, 2] > 0] += [dx, dy, 0]
        person["pose_keypoints_2d"] = pose.flatten().tolist()
    return case


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make and score every image that is missing; return all results."""
    import torch

    pack = start_comfyui()
    from tqdm import tqdm

    from idpatch_core.journal import Journal, read

    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "results.jsonl"
    results = list(read(file)) if file.exists() else []
    done = index_results(results, options)
    studio = Studio(pack, options.folder)
    variants = {name: find_variant(pack.nodes, name) for name in options.variants}
    cases = [(count, index) for count in options.people for index in range(options.images)]
    with torch.inference_mode(), Journal(file) as journal:
        for count, index in tqdm(cases):
            missing = [name for name in variants if (name, count, index) not in done]
            if not missing:
                continue
            rows = options.rows if count > TRAINED else 1
            row, drawing = plan_case(
                studio.people, count, rows, options.seed, index, studio.portraits
            )
            prepared = studio.prepare(row) if missing != [DRAWINGS] else None
            for name in missing:
                start = time.perf_counter()
                if name == DRAWINGS:
                    image = studio.pass_through_vae(drawing)
                else:
                    image = studio.make(row, prepared, variants[name])
                result = {"variant": name, "people": count, "index": index, "seed": options.seed}
                result |= {"rows": rows}
                result |= {"seconds": round(time.perf_counter() - start, 3)}
                result |= {"similarity": studio.score(row, image)}
                journal.append(result)
                results.append(result)
    return results


def index_results(
    results: list[dict[str, Any]], options: argparse.Namespace
) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Return the results with these options' seed and rows by variant, people and index."""
    return {
        (r["variant"], r["people"], r["index"]): r
        for r in results
        if r["seed"] == options.seed
        and (r["people"] <= TRAINED or r.get("rows", 1) == options.rows)
    }


def tallies(result: dict[str, Any]) -> tuple[Any, Any]:
    from idpatch_core.verification.assignment import make_assignment
    from idpatch_core.verification.metrics import association_accuracy, face_similarity

    assignment = make_assignment(result["similarity"], range(result["people"]))
    return association_accuracy(assignment), face_similarity(assignment)


def paired_interval(first: list[Any], second: list[Any]) -> tuple[float, float, float]:
    """Return the difference of two pooled means over the same images, with its 95 % interval."""
    generator = np.random.default_rng(0)
    a, b = (np.array(side, float) for side in (first, second))  # (N, 2): total and count
    draws = [generator.integers(len(a), size=len(a)) for _ in range(2000)]

    def difference(rows: Any) -> float:
        (at, ac), (bt, bc) = a[rows].sum(0), b[rows].sum(0)
        return bt / bc - at / ac

    low, high = np.quantile([difference(rows) for rows in draws], [0.025, 0.975])
    return difference(slice(None)), float(low), float(high)


def summarise(results: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a line for each variant and number of people, over the images that all have."""
    by = index_results(results, options)
    first, lines = options.variants[0], []
    for count in options.people:
        complete = [
            index
            for index in range(options.images)
            if all((name, count, index) in by for name in options.variants)
        ]
        for name in options.variants if complete else []:
            columns = {
                v: list(zip(*(tallies(by[v, count, i]) for i in complete), strict=True))
                for v in (first, name)
            }
            line = {
                "variant": name,
                "people": count,
                "rows": 1 + (count > TRAINED) * (options.rows - 1),
            }
            line["images"] = len(complete)
            for kind, metric in enumerate(("association", "similarity")):
                line[metric] = mean_and_interval(columns[name][kind])
                if name != first:
                    change = paired_interval(columns[first][kind], columns[name][kind])
                    line[f"{metric}_change"] = [round(value, 4) for value in change]
            lines.append(line)
    return lines


def mean_and_interval(column: Sequence[Any]) -> list[float]:
    """Return the pooled mean of tallies with its 95 % interval."""
    from idpatch_core.verification.tally import bootstrap_interval, pooled

    return [round(value, 4) for value in (pooled(column).value, *bootstrap_interval(column))]


def print_table(lines: list[dict[str, Any]], first: str) -> None:
    print(f"| variant | people | rows | images | association | similarity | against {first} |")
    print("|---|---:|---:|---:|---|---|---|")
    for line in lines:
        metrics = ("association", "similarity")
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*line[metric]) for metric in metrics]
        changes = [line.get(f"{metric}_change") for metric in metrics]
        change = ", ".join("{:+.3f} ({:+.3f} to {:+.3f})".format(*c) for c in changes if c)
        about = [line[key] for key in ("variant", "people", "rows", "images")]
        print("| " + " | ".join(map(str, [*about, *cells, change])) + " |")


def write_summary(file: Path, lines: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the table as JSON, with its command."""
    command = " ".join([Path(sys.argv[0]).name, "FOLDER", *sys.argv[2:]])
    about = {"command": command, "seed": options.seed, "settings": SETTINGS}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**about, "lines": lines}, indent=1) + "\n", "utf-8")


def main() -> None:
    options = parse_arguments()
    lines = summarise(measure(options), options)
    print_table(lines, options.variants[0])
    if options.summary:
        write_summary(options.summary, lines, options)


if __name__ == "__main__":
    main()
