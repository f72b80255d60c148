"""What an option does to likeness and to who is where: demo models, paired noise, intervals.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/quality.py FOLDER \\
        [--variants plain gate] [--people 2 3 4] [--images 200]

Every image is made through the nodes, for drawn people whom the demo models were not trained on.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [os.environ["COMFYUI_PATH"], str(HERE.parents[1]), str(HERE.parent / "support")]
SETTINGS = {"steps": 20, "cfg": 2.5, "sampler_name": "euler", "scheduler": "reference"}
SETTINGS |= {"injection_ratio": 1.0, "control_strength": 1.0, "guide_patches": True}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--variants", nargs="+", default=["plain", "gate"])
    parser.add_argument("--people", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--images", type=int, default=200, help="for each number of people")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and the noise")
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
    if kind == "plain":
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
        image = self.vae.decode(latent["samples"])[0]
        return image.clamp(0, 1).mul(255).round().byte().numpy()

    def score(self, row: dict[str, Any], image: np.ndarray) -> list[list[float]]:
        """Return the cosine of each reference with the face at each person's keypoints."""
        faces = [(image, np.array(p["keypoints"], np.float32)) for p in row["people"]]
        references = np.stack([self.reference(p["name"]) for p in row["people"]])
        return (references @ self.embed(faces).T).tolist()


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make and score every image that is missing; return all results."""
    import torch

    pack = start_comfyui()
    from tqdm import tqdm

    from idpatch_core.demo_world.score import make_case, plan_test_scene
    from idpatch_core.journal import Journal, read

    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "results.jsonl"
    results = list(read(file)) if file.exists() else []
    done = {(r["variant"], r["people"], r["index"]) for r in results if r["seed"] == options.seed}
    studio = Studio(pack, options.folder)
    variants = {name: find_variant(pack.nodes, name) for name in options.variants}
    cases = [(count, index) for count in options.people for index in range(options.images)]
    with torch.inference_mode(), Journal(file) as journal:
        for count, index in tqdm(cases):
            missing = [name for name in variants if (name, count, index) not in done]
            if not missing:
                continue
            scene = plan_test_scene(studio.people, count, options.seed, index)
            noise = 1000 * options.seed + index
            row = make_case(scene, f"{index:04d}", noise, studio.portraits, False)
            prepared = studio.prepare(row)
            for name in missing:
                start = time.perf_counter()
                image = studio.make(row, prepared, variants[name])
                result = {"variant": name, "people": count, "index": index, "seed": options.seed}
                result |= {"seconds": round(time.perf_counter() - start, 3)}
                result |= {"similarity": studio.score(row, image)}
                journal.append(result)
                results.append(result)
    return results


def tallies(result: dict[str, Any]) -> tuple[Any, Any]:
    from idpatch_core.verification import metrics

    assignment = metrics.make_assignment(result["similarity"], range(result["people"]))
    return metrics.association_accuracy(assignment), metrics.face_similarity(assignment)


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


def report(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    from idpatch_core.verification.metrics import bootstrap_interval

    by = {(r["variant"], r["people"], r["index"]): r for r in results if r["seed"] == options.seed}
    first = options.variants[0]
    print(f"| variant | people | images | association | similarity | against {first} |")
    print("|---|---:|---:|---|---|---|")
    for count in options.people:
        for name in options.variants:
            parts = {
                v: [tallies(by[v, count, i]) for i in range(options.images)] for v in (first, name)
            }
            cells = []
            for kind in (0, 1):
                column = [part[kind] for part in parts[name]]
                mean = sum(t.total for t in column) / sum(t.count for t in column)
                low, high = bootstrap_interval(column)
                cells.append(f"{mean:.3f} ({low:.3f} to {high:.3f})")
            change = ""
            if name != first:
                change = ", ".join(
                    "{:+.3f} ({:+.3f} to {:+.3f})".format(
                        *paired_interval(*([p[kind] for p in parts[v]] for v in (first, name)))
                    )
                    for kind in (0, 1)
                )
            print(f"| {name} | {count} | {options.images} | {' | '.join(cells)} | {change} |")


if __name__ == "__main__":
    arguments = parse_arguments()
    report(measure(arguments), arguments)
