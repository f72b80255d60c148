"""Makes pictures of unseen people with the demo models in ComfyUI and scores who stands where.

    python -m idpatch_core.demo_world.score FOLDER --server URL \\
        [--people 2 3 4] [--pictures 500] [--seeds 0 1 2] [--pose-free] [--unguided]

ComfyUI must run with the pack. Every picture goes through the nodes: drawn portraits, Face Encoder,
ID Patch Builder, Patch Placer and ID-Patch Sampler. The encoder that scores was trained on other
people than the one that conditions. Faces are looked at at the keypoints of the pose that the
picture was made with; one in another place counts as wrong. The people are those whose face the
demo models' detector finds in their portrait. Killed and started again, it goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..alignment import align_face
from ..arcface import embed, load_arcface
from ..comfyui.graph import Graph, inputs_of
from ..comfyui.group_photo import add_standing_pose, save_decoded_images
from ..comfyui.workflows import api_file, read_graph
from ..face_detector import load_detector
from ..generate.__main__ import main as generate
from ..journal import read, write_whole
from ..poses import to_pose_keypoint
from ..training.config_file import build_dataclass, read_settings
from ..verification.metrics import (
    Tally,
    association_accuracy,
    bootstrap_interval,
    face_similarity,
    make_assignment,
)
from .scenes import HEIGHT, WIDTH, ScenePlan, portrait, render, scene, sitter

WORKFLOW = api_file("self_test")
MODELS = Path(__file__).parents[1] / "demo" / "models"
DETECTOR, SCORER = MODELS / "detector.onnx", MODELS / "scorer.safetensors"
SEED = 100  # of the first scenes, which training has not drawn


def known_people(folder: Path, first: int, last: int) -> list[int]:
    """Draw everybody's portrait into the folder; return those whose face is found."""
    from PIL import Image

    file = folder / "people.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        detector, known = load_detector(DETECTOR), []
        for number in range(first, last):
            picture = portrait(number, 0)
            if detector.detect(picture):
                known.append(number)
                Image.fromarray(picture).save(folder / f"{number}.png")
        write_whole(file, json.dumps(known).encode())
    return json.loads(file.read_text("utf-8"))


def plan(people: list[int], count: int, seed: int, index: int) -> ScenePlan:
    """Draw up a scene with `count` of these people."""
    planned = scene(SEED + seed, index, 0, len(people), count)
    named = [one._replace(number=people[one.number]) for one in planned.people]
    return planned._replace(people=named)


def case(
    planned: ScenePlan, id: str, seed: int, portraits: Path, pose_free: bool
) -> dict[str, Any]:
    """Return a scene as a line for `idpatch_core.generate`, its people from left to right."""
    people = sorted(render(planned)[1]["people"], key=lambda p: p["keypoints"][2][0])
    row: dict[str, Any] = {
        "id": id,
        "prompt": planned.caption,
        "negative": "",
        "seed": seed,
        "width": WIDTH,
        "height": HEIGHT,
        "people": [
            {
                "name": person["group"],
                "references": [str(portraits / f"{person['group'].removeprefix('drawn-')}.png")],
                "point": person["keypoints"][2],
                "keypoints": person["keypoints"],
            }
            for person in people
        ],
    }
    if not pose_free:
        poses = np.array([person["pose"] for person in people])
        row["pose"] = to_pose_keypoint(poses, WIDTH, HEIGHT)
    return row


def template(workflow: Path, pose_free: bool, unguided: bool = False) -> Graph:
    """Return the workflow, with a pose to draw unless `pose_free`.

    `unguided` lets both branches see the patches, as the reference does.
    """
    graph = read_graph(workflow)
    save_decoded_images(graph)  # not enlarged
    inputs_of(graph, "IDPatchSampler")["guide_patches"] = not unguided
    if not pose_free:
        add_standing_pose(graph, 2, WIDTH, HEIGHT)
    return graph


@torch.no_grad()
def score(results: Path, scorer: nn.Module) -> tuple[list[Tally], list[Tally]]:
    """Return association accuracy and similarity of a folder of `generate`."""
    from PIL import Image

    own: dict[int, torch.Tensor] = {}

    def features(crops: list[np.ndarray]) -> torch.Tensor:
        return embed(scorer, torch.from_numpy(np.stack(crops)))

    right: list[Tally] = []
    alike: list[Tally] = []
    for row in read(results / "results.jsonl"):
        picture = np.array(Image.open(results / row["result"]).convert("RGB"))
        keypoints = [np.array(person["keypoints"], np.float32) for person in row["people"]]
        found = features([align_face(picture, points) for points in keypoints])
        for person in row["people"]:
            number = int(person["name"].removeprefix("drawn-"))
            if number not in own:
                places = sitter(number, 0).keypoints.astype(np.float32)
                own[number] = features([align_face(portrait(number, 0), places)])[0]
        wanted = [own[int(p["name"].removeprefix("drawn-"))] for p in row["people"]]
        similarity = (torch.stack(wanted) @ found.T).double().numpy()
        judged = make_assignment(similarity, range(len(wanted)))
        right.append(association_accuracy(judged))
        alike.append(face_similarity(judged))
    return right, alike


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    from .__main__ import HERE, World

    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.score")
    parser.add_argument("folder", type=Path, help="where pictures and figures go")
    parser.add_argument("--server", action="append", help="address of a ComfyUI; or several")
    parser.add_argument("--scorer", type=Path, default=SCORER, help="the encoder that scores")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW, help="in API form")
    parser.add_argument("--people", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--pictures", type=int, default=500, help="for each number of people, seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pose-free", action="store_true", help="points alone, without skeletons")
    parser.add_argument("--unguided", action="store_true", help="patches in both branches")
    options = parser.parse_args(arguments)
    world = build_dataclass(World, read_settings(HERE / "world.toml"), "")
    portraits = (options.folder / "portraits").absolute()
    people = known_people(portraits, *world.people.evaluation)
    scorer = load_arcface(options.scorer).float()
    options.folder.mkdir(parents=True, exist_ok=True)
    kind = "-pose-free" * options.pose_free + "-unguided" * options.unguided
    workflow = options.folder / f"workflow{kind}.json"
    graph = template(options.workflow, options.pose_free, options.unguided)
    workflow.write_text(json.dumps(graph), "utf-8")
    figures: dict[str, Any] = {"known_people": len(people)}
    for count in options.people:
        everything: tuple[list[Any], list[Any]] = ([], [])
        for seed in options.seeds:
            name = f"{count}-people-seed-{seed}{kind}"
            cases = options.folder / f"{name}.jsonl"
            rows = [
                case(
                    plan(people, count, seed, index),
                    f"{index:04d}",
                    1000 * seed + index,
                    portraits,
                    options.pose_free,
                )
                for index in range(options.pictures)
            ]
            cases.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
            servers = [f"--server={s}" for s in options.server or ["http://127.0.0.1:8188"]]
            target = options.folder / name
            code = generate([str(cases), f"--out={target}", f"--workflow={workflow}", *servers])
            if code:
                parser.exit(code)
            parts = score(target, scorer)
            figures[name] = summary(*parts)
            for all_seeds, part in zip(everything, parts, strict=True):
                all_seeds += part
        figures[f"{count} people"] = summary(*everything)
        print(f"{count} people: {figures[f'{count} people']}")
    file = options.folder / f"figures{kind}.json"
    file.write_text(json.dumps(figures, indent=1), "utf-8")
    return figures


def summary(right: list[Tally], alike: list[Tally]) -> dict[str, Any]:
    """Return both means with their 95 % intervals."""
    return {
        "pictures": len(right),
        **{
            name: [
                round(sum(t.total for t in parts) / sum(t.count for t in parts), 4),
                *(round(limit, 4) for limit in bootstrap_interval(parts, 0)),
            ]
            for name, parts in (("association", right), ("similarity", alike))
        },
    }


if __name__ == "__main__":
    main()
