"""Generates images of unseen people with the demo models in ComfyUI and scores their identities.

    python -m idpatch_core.demo_world.score FOLDER --server URL \\
        [--world FILE] [--people 2 3 4] [--images 500] [--seeds 0 1 2] [--pose-free] [--unguided]

ComfyUI must run with the pack. Every image goes through the nodes: drawn portraits, Face Encoder,
ID Patch Builder, Patch Placer and ID-Patch Sampler. The scoring encoder was trained on other people
than the conditioning one. Faces are cropped at the keypoints of the pose that the image was
generated with, so a face anywhere else counts as wrong. The people are those in whose portrait the
demo models' detector finds a face. An interrupted run resumes.
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
from ..verification.assignment import make_assignment
from ..verification.metrics import association_accuracy, face_similarity
from ..verification.tally import Tally, bootstrap_interval, pooled
from .portraits import draw_portrait
from .scenes import FIRST_CANVAS, ScenePlan, draw_scene, plan_scene
from .world import RECIPES, CanvasSettings, read_world

SELF_TEST_WORKFLOW = api_file("self_test")
DEMO_DETECTOR, DEMO_SCORER = (
    Path(__file__).parents[1] / "demo" / "models" / name
    for name in ("detector.onnx", "scorer.safetensors")
)
FIRST_SEED = 100  # of the scenes; training has not drawn these


def find_detectable_people(folder: Path, first: int, last: int) -> list[int]:
    """Return the people in whose portrait a face is found; write their portraits to the folder."""
    from PIL import Image

    file = folder / "people.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        detector, people = load_detector(DEMO_DETECTOR), []
        for number in range(first, last):
            image = draw_portrait(number).pixels
            if detector.detect(image):
                people.append(number)
                Image.fromarray(image).save(folder / f"{number}.png")
        write_whole(file, json.dumps(people).encode())
    return json.loads(file.read_text("utf-8"))


def plan_test_scene(
    people: list[int], count: int, seed: int, index: int, canvas: CanvasSettings = FIRST_CANVAS
) -> ScenePlan:
    """Plan a scene with `count` of these people."""
    plan = plan_scene(FIRST_SEED + seed, index, 0, len(people), count, canvas)
    renumbered = [person._replace(number=people[person.number]) for person in plan.people]
    return plan._replace(people=renumbered)


def make_case(
    plan: ScenePlan, id: str, seed: int, portraits: Path, pose_free: bool
) -> dict[str, Any]:
    """Return a scene as a line for `idpatch_core.generate`, its people from left to right."""
    people = sorted(draw_scene(plan)[1]["people"], key=lambda p: p["keypoints"][2][0])
    case: dict[str, Any] = {
        "id": id,
        "prompt": plan.caption,
        "negative": "",
        "seed": seed,
        "width": plan.width,
        "height": plan.height,
        "people": [
            {
                "name": person["group"],
                "references": [str(portraits / f"{_person_number(person['group'])}.png")],
                "point": person["keypoints"][2],
                "keypoints": person["keypoints"],
            }
            for person in people
        ],
    }
    if not pose_free:
        poses = np.array([person["pose"] for person in people])
        case["pose"] = to_pose_keypoint(poses, plan.width, plan.height)
    return case


def _person_number(name: str) -> int:
    return int(name.removeprefix("drawn-"))


def make_template(
    workflow: Path,
    pose_free: bool,
    unguided: bool = False,
    canvas: CanvasSettings = FIRST_CANVAS,
) -> Graph:
    """Return the graph of a workflow, with a Load Pose node unless `pose_free`.

    `unguided` lets both branches see the patches, as the reference does.
    """
    graph = read_graph(workflow)
    save_decoded_images(graph)  # not enlarged
    inputs_of(graph, "IDPatchSampler")["guide_patches"] = not unguided
    if not pose_free:
        add_standing_pose(graph, 2, canvas.width, canvas.height)
    return graph


@torch.no_grad()
def score_results(results: Path, scorer: nn.Module) -> tuple[list[Tally], list[Tally]]:
    """Return association accuracy and similarity of each image in a folder of `generate`."""
    from PIL import Image

    def embed_faces(crops: list[np.ndarray]) -> torch.Tensor:
        return embed(scorer, torch.from_numpy(np.stack(crops)))

    references: dict[str, torch.Tensor] = {}
    associations: list[Tally] = []
    similarities: list[Tally] = []
    for row in read(results / "results.jsonl"):
        image = np.array(Image.open(results / row["result"]).convert("RGB"))
        keypoints = [np.array(person["keypoints"], np.float32) for person in row["people"]]
        embeddings = embed_faces([align_face(image, points) for points in keypoints])
        names = [person["name"] for person in row["people"]]
        for name in names:
            if name not in references:
                portrait = draw_portrait(_person_number(name))
                crop = align_face(portrait.pixels, portrait.keypoints.astype(np.float32))
                references[name] = embed_faces([crop])[0]
        similarity = torch.stack([references[name] for name in names]) @ embeddings.T
        assignment = make_assignment(similarity.double().numpy(), range(len(names)))
        associations.append(association_accuracy(assignment))
        similarities.append(face_similarity(assignment))
    return associations, similarities


def summarise_scores(associations: list[Tally], similarities: list[Tally]) -> dict[str, Any]:
    """Return both means with their 95 % intervals."""
    return {
        "images": len(associations),
        **{
            name: [
                round(pooled(tallies).value, 4),
                *(round(limit, 4) for limit in bootstrap_interval(tallies, 0)),
            ]
            for name, tallies in (("association", associations), ("similarity", similarities))
        },
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.score")
    parser.add_argument("folder", type=Path, help="folder for images and figures")
    parser.add_argument("--server", action="append", help="address of a ComfyUI; or several")
    parser.add_argument("--scorer", type=Path, default=DEMO_SCORER, help="scoring face encoder")
    parser.add_argument("--workflow", type=Path, default=SELF_TEST_WORKFLOW, help="in API form")
    parser.add_argument(
        "--world", type=Path, default=RECIPES / "world.toml", help="settings of the world"
    )
    parser.add_argument("--people", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument(
        "--images", type=int, default=500, help="for each number of people and each seed"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pose-free", action="store_true", help="points alone, without skeletons")
    parser.add_argument("--unguided", action="store_true", help="patches in both branches")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    servers = [f"--server={s}" for s in options.server or ["http://127.0.0.1:8188"]]
    portraits = (folder / "portraits").absolute()
    world = read_world(options.world)
    canvas = world.large_canvas
    people = find_detectable_people(portraits, *world.people.evaluation)
    scorer = load_arcface(options.scorer).float()
    kind = "-pose-free" * options.pose_free + "-unguided" * options.unguided
    workflow = folder / f"workflow{kind}.json"
    graph = make_template(options.workflow, options.pose_free, options.unguided, canvas)
    workflow.write_text(json.dumps(graph), "utf-8")
    figures: dict[str, Any] = {"detectable_people": len(people)}
    for count in options.people:
        associations: list[Tally] = []
        similarities: list[Tally] = []
        for seed in options.seeds:
            name = f"{count}-people-seed-{seed}{kind}"
            cases = [
                make_case(
                    plan_test_scene(people, count, seed, index, canvas),
                    f"{index:04d}",
                    1000 * seed + index,
                    portraits,
                    options.pose_free,
                )
                for index in range(options.images)
            ]
            lines = folder / f"{name}.jsonl"
            lines.write_text("".join(json.dumps(case) + "\n" for case in cases), "utf-8")
            results = folder / name
            code = generate([str(lines), f"--out={results}", f"--workflow={workflow}", *servers])
            if code:
                parser.exit(code)
            tallies = score_results(results, scorer)
            figures[name] = summarise_scores(*tallies)
            associations += tallies[0]
            similarities += tallies[1]
        figures[f"{count} people"] = summarise_scores(associations, similarities)
        print(f"{count} people: {figures[f'{count} people']}")
    (folder / f"figures{kind}.json").write_text(json.dumps(figures, indent=1), "utf-8")
    return figures


if __name__ == "__main__":
    main()
