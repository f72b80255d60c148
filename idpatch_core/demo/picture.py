"""Runs the bundled workflow in a ComfyUI of our own and writes the picture."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ..comfyui import environment
from ..comfyui.client import ComfyClient, ComfyError, Interrupted, Prompt
from ..comfyui.server import ServerError, comfyui_server
from ..comfyui.ui_format import Graph, to_ui
from ..poses import PRESETS
from .progress import ProgressBar

WORKFLOWS = environment.REPOSITORY / "workflows"
WORKFLOW, SELF_TEST = "group_photo", "self_test"
# For each model option of the command: its folder below models/, and the inputs that name its file.
MODELS = {
    "checkpoint": ("checkpoints", "CheckpointLoaderSimple", "ckpt_name"),
    "controlnet": ("controlnet", "ControlNetLoader", "control_net_name"),
    "idpatch": ("idpatch", "IDPatchLoadModel", "model_name"),
    "face_model": ("facexlib", "IDPatchLoadFaceModel", "recognition"),
}
SIDE = 1024  # pixels, with real models


def make_picture(options: argparse.Namespace, here: environment.Environment) -> int:
    """Do what the command's options say; return its exit code."""
    real = options.checkpoint is not None
    files = {name: getattr(options, name) for name in MODELS} if real else {}
    cpu = options.cpu or not torch.cuda.is_available()
    environment.say(f"Starting ComfyUI{' on the CPU' if cpu else ''}")
    try:
        with (
            comfyui_server(here.python, here.comfyui, link_names(files), cpu=cpu) as server,
            ComfyClient(server.url) as client,
        ):
            prompt, workflow = load_workflow(WORKFLOW if real else SELF_TEST)
            if options.portrait:
                names = [
                    client.upload_image(path, f"{i}-{path.name}")
                    for i, path in enumerate(options.portrait)
                ]
                set_people(prompt, names)
            set_models(prompt, {name: file.name for name, file in files.items()})
            width, height = (SIDE, SIDE) if real else size_of(prompt)
            set_size(prompt, options.width or width, options.height or height)
            set_sampling(prompt, options.seed, options.steps)
            if options.prompt is not None:
                set_text(prompt, options.prompt)
            bar = ProgressBar(prompt)
            graph = to_ui(prompt, client.object_info(), like=workflow)
            result = client.run(prompt, graph, on_event=bar)
            bar.close()
            (png,) = [client.fetch(file) for file in result.images()]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(png)
    except KeyboardInterrupt:
        print("\nCancelled", file=sys.stderr)
        return 130
    except (ComfyError, Interrupted, ServerError, environment.SetupError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    environment.say(f"Wrote {options.out.resolve()}")
    if not real:
        environment.say("It was drawn by the demo models; give real ones for a photo (see --help)")
    return 0


def load_workflow(name: str) -> tuple[Prompt, Graph]:
    """Return a bundled workflow in API form and in UI form."""
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    return prompt, workflow


def link_names(files: dict[str, Path]) -> dict[str, Path]:
    """Return where below models/ each of the user's files is to be linked."""
    return {f"{MODELS[name][0]}/{file.name}": file for name, file in files.items()}


def of_class(prompt: Prompt, kind: str) -> list[dict]:
    return [node for node in prompt.values() if node["class_type"] == kind]


def set_models(prompt: Prompt, names: dict[str, str]) -> None:
    for name, file in names.items():
        _, kind, key = MODELS[name]
        for node in of_class(prompt, kind):
            node["inputs"][key] = file


def size_of(prompt: Prompt) -> tuple[int, int]:
    """Return the width and height that the workflow's Patch Placer has."""
    (placer,) = of_class(prompt, "IDPatchPlacer")
    return placer["inputs"]["width"], placer["inputs"]["height"]


def set_size(prompt: Prompt, width: int, height: int) -> None:
    """Set the size; where it changes, people go where the Patch Placer puts them."""
    if (width, height) != size_of(prompt):
        place_anew(prompt)
    for kind in ("IDPatchPlacer", "IDPatchLoadPose", "EmptyLatentImage"):
        for node in of_class(prompt, kind):
            node["inputs"] |= {"width": width, "height": height}


def set_sampling(prompt: Prompt, seed: int, steps: int | None) -> None:
    for kind in ("IDPatchSampler", "KSampler"):
        for node in of_class(prompt, kind):
            node["inputs"] |= {"seed": seed} if steps is None else {"seed": seed, "steps": steps}


def set_text(prompt: Prompt, text: str) -> None:
    """Set the positive prompt."""
    (sampler,) = of_class(prompt, "IDPatchSampler")
    prompt[sampler["inputs"]["positive"][0]]["inputs"]["text"] = text


def set_people(prompt: Prompt, photos: Sequence[str]) -> None:
    """Give everybody a Load Image and a Face Encoder, chained in the order of the photos.

    The workflow's own come first; what it has too few of is added, what it has too many of goes.
    """
    ids = [id for id, node in prompt.items() if node["class_type"] == "IDPatchFaceEncoder"]
    ids.sort(key=lambda id: len(chain(prompt, id)))
    free = max(map(int, prompt)) + 1
    while len(ids) < len(photos):
        photo, encoder = str(free), str(free + 1)
        free += 2
        prompt[photo] = {"class_type": "LoadImage", "inputs": {}}
        inputs = {**prompt[ids[0]]["inputs"], "image": [photo, 0]}
        inputs |= {"name": f"Person {len(ids) + 1}", "identities": [ids[-1], 0]}
        prompt[encoder] = {"class_type": "IDPatchFaceEncoder", "inputs": inputs}
        ids.append(encoder)
    while len(ids) > len(photos):
        encoder = prompt.pop(ids.pop())
        del prompt[encoder["inputs"]["image"][0]]
    for id, photo in zip(ids, photos, strict=True):
        source = prompt[prompt[id]["inputs"]["image"][0]]
        source |= {"class_type": "LoadImage", "inputs": {"image": photo}}
    place_anew(prompt)
    for kind in ("IDPatchBuilder", "IDPatchVerify"):
        for node in of_class(prompt, kind):
            node["inputs"]["identities"] = [ids[-1], 0]
    set_pose(prompt, f"standing_{len(photos)}")


def place_anew(prompt: Prompt) -> None:
    for placer in of_class(prompt, "IDPatchPlacer"):
        placer["inputs"] |= {"placements": "", "arrangement": "auto"}


def set_pose(prompt: Prompt, preset: str) -> None:
    """Choose a built-in pose, or place people without one where there is none of that name."""
    poses = [id for id, node in prompt.items() if node["class_type"] == "IDPatchLoadPose"]
    for id in poses:
        prompt[id]["inputs"]["pose"] = preset
        if preset not in PRESETS:
            del prompt[id]
    for placer in of_class(prompt, "IDPatchPlacer"):
        source = placer["inputs"].get("pose_keypoint")
        if source and source[0] not in prompt:
            del placer["inputs"]["pose_keypoint"]


def chain(prompt: Prompt, id: str) -> list[str]:
    """Return the Face Encoders before one, and itself."""
    before = prompt[id]["inputs"].get("identities")
    return [*(chain(prompt, before[0]) if before else []), id]
