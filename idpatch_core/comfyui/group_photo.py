"""Edits ID-Patch workflows in API form: their people, placements, texts, sizes and models.

The functions `set_…` change a graph in place.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..bodies import KINDS
from ..layout import Point
from ..placements import format_placements
from ..poses import PRESETS
from .graph import Graph, add_node, find_node, find_nodes, inputs_of, is_link, links

ENCODER, PEOPLE, BUILDER = "IDPatchFaceEncoder", "IDPatchPeople", "IDPatchBuilder"
PLACER, POSE_LOADER = "IDPatchPlacer", "IDPatchLoadPose"
IMAGE_LOADER, PORTRAIT_LOADER = "LoadImage", "IDPatchLoadDemoPortrait"
TEXT_ENCODER, DECODER, SAVER = "CLIPTextEncode", "VAEDecode", "SaveImage"
LOADERS = (IMAGE_LOADER, PORTRAIT_LOADER, POSE_LOADER)


class ModelLoader(NamedTuple):
    """The loader node of a model file, and the file's folder below `models/`."""

    folder: str
    node_class: str
    input_name: str


MODEL_LOADERS = {
    "checkpoint": ModelLoader("checkpoints", "CheckpointLoaderSimple", "ckpt_name"),
    "controlnet": ModelLoader("controlnet", "ControlNetLoader", "control_net_name"),
    "idpatch": ModelLoader("idpatch", "IDPatchLoadModel", "model_name"),
    "face_model": ModelLoader("facexlib", "IDPatchLoadFaceModel", "recognition"),
}


class PersonPhotos(NamedTuple):
    """A person's photos by the server's file names; a `name` of None keeps the workflow's."""

    name: str | None
    photos: Sequence[str]


def fill_template(
    template: Graph,
    people: Sequence[PersonPhotos],
    points: Sequence[Point | None] | None,
    prompt: str,
    negative: str | None = None,
    seed: int | None = None,
    size: tuple[int, int] | None = None,
    base_image: str | None = None,
    prefix: str = "idpatch",
) -> Graph:
    """Return a copy of a workflow with these people, placements and settings.

    `points` are in pixels; None keeps the Placer's own arrangement. `size` is (width, height).
    `base_image` is the server's name of the Placer's base image, used in place of a pose. Settings
    that are None keep the template's values. Raises ValueError if the template is not an ID-Patch
    workflow.
    """
    graph = copy.deepcopy(template)
    set_people(graph, people)
    if points is not None:
        set_placements(graph, points)
    if size is not None:
        set_size(graph, *size)
    if base_image is not None:
        set_base_image(graph, base_image)
    set_text(graph, "positive", prompt)
    if negative is not None:
        set_text(graph, "negative", negative)
    if seed is not None:
        set_seed(graph, seed)
    for id in find_nodes(graph, SAVER):
        graph[id]["inputs"]["filename_prefix"] = prefix
    return graph


def set_models(graph: Graph, files: dict[str, str]) -> None:
    """Set the file names of the loaders; the keys are those of MODEL_LOADERS."""
    for model, file in files.items():
        loader = MODEL_LOADERS[model]
        for id in find_nodes(graph, loader.node_class):
            graph[id]["inputs"][loader.input_name] = file


def set_people(graph: Graph, people: Sequence[PersonPhotos]) -> None:
    """Set the people of a workflow, in their order, and the pose for their number.

    They are written into its People node. Without one, each gets a Face Encoder in a chain: the
    workflow's own are used first; others are added or removed. All get the inputs of the first.
    Raises ValueError if the workflow has neither, or not one ID Patch Builder.
    """
    find_node(graph, BUILDER)
    if find_nodes(graph, PEOPLE):
        _write_people(inputs_of(graph, PEOPLE), people)
    else:
        _chain_encoders(graph, people)
    set_standing_pose(graph, len(people))
    remove_unused_loaders(graph)


def _write_people(inputs: dict[str, Any], people: Sequence[PersonPhotos]) -> None:
    """Write people into the inputs of a People node, in place of all that it has."""
    # A workflow may have people without photos, which a run would refuse.
    given = json.loads(inputs.get("people") or "[]")
    items = given["people"] if isinstance(given, dict) else given
    names = [item.get("name", "") for item in items]
    names += [f"Person {number}" for number in range(len(names) + 1, len(people) + 1)]
    written = [
        {"name": names[number] if name is None else name, "photos": list(photos)}
        for number, (name, photos) in enumerate(people)
    ]
    inputs["people"] = json.dumps(written, ensure_ascii=False)
    for link in ("images", "identities"):
        inputs.pop(link, None)


def _chain_encoders(graph: Graph, people: Sequence[PersonPhotos]) -> None:
    """Give each person a Face Encoder; raises ValueError if the workflow has none."""
    encoders = sorted(find_nodes(graph, ENCODER), key=lambda id: len(_encoder_chain(graph, id)))
    if not encoders:
        raise ValueError(f"The workflow has no {PEOPLE} node and no {ENCODER} node.")
    consumers = [
        (id, name)
        for id, node in graph.items()
        if node["class_type"] != ENCODER
        for name, source in links(node)
        if source in encoders
    ]
    replaced = {"image", "identities", "name"}
    kept = {k: v for k, v in graph[encoders[0]]["inputs"].items() if k not in replaced}
    previous = None
    for number, (name, photos) in enumerate(people):
        id = encoders[number] if number < len(encoders) else add_node(graph, ENCODER, {})
        current = graph[id]["inputs"]
        if name is None:
            name = current.get("name", f"Person {number + 1}")
        loader = _own_loader(graph, id) or add_node(graph, IMAGE_LOADER, {})
        graph[loader] |= {"class_type": IMAGE_LOADER, "inputs": {"image": photos[0]}}
        image = _batch_images(graph, [loader, *_load_images(graph, photos[1:])])
        graph[id]["inputs"] = {**kept, "image": image, "name": name}
        if previous is not None:
            graph[id]["inputs"]["identities"] = [previous, 0]
        previous = id
    for id in encoders[len(people) :]:
        del graph[id]
    for id, name in consumers:
        graph[id]["inputs"][name] = [previous, 0]


def _encoder_chain(graph: Graph, id: str) -> list[str]:
    """Return the Face Encoders before one, and itself."""
    previous = graph[id]["inputs"].get("identities")
    if is_link(previous) and graph.get(previous[0], {}).get("class_type") == ENCODER:
        return [*_encoder_chain(graph, previous[0]), id]
    return [id]


def _own_loader(graph: Graph, encoder: str) -> str | None:
    """Return the Load Image or portrait node that feeds this Face Encoder and nothing else."""
    image = graph[encoder]["inputs"].get("image")
    if not is_link(image):
        return None
    loader = image[0]
    uses = [source for node in graph.values() for _, source in links(node) if source == loader]
    is_loader = graph[loader]["class_type"] in (IMAGE_LOADER, PORTRAIT_LOADER)
    return loader if is_loader and len(uses) == 1 else None


def _load_images(graph: Graph, files: Sequence[str]) -> list[str]:
    return [add_node(graph, IMAGE_LOADER, {"image": file}) for file in files]


def _batch_images(graph: Graph, loaders: Sequence[str]) -> list[Any]:
    """Return the link of the images of these nodes as one batch."""
    image = [loaders[0], 0]
    for loader in loaders[1:]:
        image = [add_node(graph, "ImageBatch", {"image1": image, "image2": [loader, 0]}), 0]
    return image


def set_standing_pose(graph: Graph, count: int) -> None:
    """Choose the built-in pose of `count` people, or remove the pose if no such pose exists.

    A workflow whose Patch Placer has no Load Pose stays as it is.
    """
    preset = f"standing_{count}"
    placer = inputs_of(graph, PLACER)
    for id in find_nodes(graph, POSE_LOADER):
        if placer.get("pose_keypoint") != [id, 0]:
            continue
        if preset in PRESETS:
            graph[id]["inputs"]["pose"] = preset
        else:
            del placer["pose_keypoint"]


def add_standing_pose(graph: Graph, count: int, width: int, height: int) -> None:
    """Link a Load Pose with the built-in pose of `count` people to the Patch Placer."""
    inputs = {"pose": f"standing_{count}", "width": width, "height": height}
    inputs_of(graph, PLACER)["pose_keypoint"] = [add_node(graph, POSE_LOADER, inputs), 0]


def has_pose(graph: Graph) -> bool:
    """Tell whether the condition image has poses, bodies or a base image under the patches."""
    inputs = inputs_of(graph, PLACER)
    return "pose_keypoint" in inputs or "base_image" in inputs or inputs.get("bodies") in KINDS


def set_base_image(graph: Graph, file: str) -> None:
    """Load an image of the server's input folder as the Patch Placer's base image, not a pose."""
    placer = inputs_of(graph, PLACER)
    placer["base_image"] = [add_node(graph, IMAGE_LOADER, {"image": file}), 0]
    placer.pop("pose_keypoint", None)
    remove_unused_loaders(graph)


def set_placements(graph: Graph, points: Sequence[Point | None]) -> None:
    """Set each person's point in pixels, or None for a person without a placement."""
    placements = format_placements(points)
    inputs_of(graph, PLACER).update(placements=placements, arrangement="placements")


def clear_placements(graph: Graph) -> None:
    """Let the Patch Placer arrange the people."""
    inputs_of(graph, PLACER).update(placements="", arrangement="auto")


def size_of(graph: Graph) -> tuple[int, int]:
    """Return the width and height of the workflow's image in pixels."""
    placer = inputs_of(graph, PLACER)
    return placer["width"], placer["height"]


def set_size(graph: Graph, width: int, height: int) -> None:
    """Set the size of the image in pixels."""
    for node in graph.values():
        kind = node["class_type"]
        if kind in (PLACER, POSE_LOADER) or kind.startswith("EmptyLatent"):
            node["inputs"] |= {"width": width, "height": height}


def set_seed(graph: Graph, seed: int) -> None:
    _set_numbers(graph, ("seed", "noise_seed"), seed)


def set_steps(graph: Graph, steps: int) -> None:
    _set_numbers(graph, ("steps",), steps)


def _set_numbers(graph: Graph, names: Sequence[str], number: int) -> None:
    for node in graph.values():
        for name in names:
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = number


def set_text(graph: Graph, side: str, text: str) -> None:
    """Set the prompt of a side, "positive" or "negative"; raises ValueError if it has no text."""
    ids = list(text_encoders(graph, side))
    if not ids:
        raise ValueError(f"The workflow has no CLIP Text Encode at the {side} input.")
    for id in ids:
        graph[id]["inputs"]["text"] = text


def text_encoders(graph: Graph, side: str) -> Iterator[str]:
    """Yield the CLIP Text Encode nodes that feed the `side` inputs, through any nodes between."""
    waiting = [source for node in graph.values() for n, source in links(node) if n == side]
    seen = set()
    while waiting:
        id = waiting.pop()
        if id in seen:
            continue
        seen.add(id)
        if graph[id]["class_type"] == TEXT_ENCODER:
            yield id
        else:
            # A node with both sides passes each on; one with neither is a conditioning filter.
            sources = dict(links(graph[id]))
            waiting += [sources[side]] if side in sources else sources.values()


def save_decoded_images(graph: Graph) -> None:
    """Save the images as VAE Decode returns them, without the nodes between."""
    for id in find_nodes(graph, SAVER):
        graph[id]["inputs"]["images"] = [find_node(graph, DECODER), 0]


def remove_unused_loaders(graph: Graph) -> None:
    """Remove the nodes that load an image or a pose that nothing uses."""
    used = {source for node in graph.values() for _, source in links(node)}
    for id in [id for kind in LOADERS for id in find_nodes(graph, kind) if id not in used]:
        del graph[id]
