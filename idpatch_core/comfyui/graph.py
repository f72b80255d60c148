"""Puts a group photo's people, places and words into a workflow in API form."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from ..layout import Point
from ..placements import format_placements
from ..poses import PRESETS

Graph = dict[str, dict[str, Any]]

ENCODER, PLACER, BUILDER = "IDPatchFaceEncoder", "IDPatchPlacer", "IDPatchBuilder"
LOADER, POSE, TEXT, SAVER = "LoadImage", "IDPatchLoadPose", "CLIPTextEncode", "SaveImage"


def fill(
    template: Graph,
    people: Sequence[tuple[str, Sequence[str]]],
    points: Sequence[Point | None] | None,
    prompt: str,
    negative: str | None = None,
    seed: int | None = None,
    size: tuple[int, int] | None = None,
    base_image: str | None = None,
    prefix: str = "idpatch",
) -> Graph:
    """Return the workflow for these people.

    `people` are names with the server's names of their photographs; each gets a Face Encoder like
    the template's first, chained to the ID Patch Builder. `points` in pixels, None to keep the
    Placer's own arrangement, with as many standing people if the template loads such a pose;
    `base_image` is the server's name of the Placer's base picture, in place of a pose. What is None
    stays as in the template. Raises ValueError if the template is no ID-Patch workflow.
    """
    graph = copy.deepcopy(template)
    _people(graph, people)
    placer = only(graph, PLACER)["inputs"]
    if points is not None:
        placer["placements"], placer["arrangement"] = format_placements(points), "placements"
    if size is not None:
        _size(graph, placer, size)
    if base_image is not None:
        placer["base_image"] = [add(graph, LOADER, {"image": base_image}), 0]
        placer.pop("pose_keypoint", None)
    _stand(graph, placer, len(people))
    words = {"positive": prompt} if negative is None else {"positive": prompt, "negative": negative}
    for side, text in words.items():
        texts = list(upstream(graph, side))
        if not texts:
            raise ValueError(f"The workflow has no CLIP Text Encode at the {side} input.")
        for id in texts:
            graph[id]["inputs"]["text"] = text
    if seed is not None:
        for node in graph.values():
            for name in ("seed", "noise_seed"):
                if isinstance(node["inputs"].get(name), int):
                    node["inputs"][name] = seed
    for node in graph.values():
        if node["class_type"] == SAVER:
            node["inputs"]["filename_prefix"] = prefix
    return prune(graph)


def of_class(graph: Graph, kind: str) -> list[str]:
    return [id for id, node in graph.items() if node["class_type"] == kind]


def only(graph: Graph, kind: str) -> dict[str, Any]:
    """Return the one node of a class; raises ValueError if there is none or are several."""
    found = of_class(graph, kind)
    if len(found) != 1:
        raise ValueError(f"The workflow must have one {kind} node, this one has {len(found)}.")
    return graph[found[0]]


def add(graph: Graph, kind: str, inputs: dict[str, Any]) -> str:
    id = str(max((int(key) for key in graph if key.isdigit()), default=0) + 1)
    graph[id] = {"class_type": kind, "inputs": inputs}
    return id


def links(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the inputs of a node that are linked, and to which node."""
    for name, value in node["inputs"].items():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
            yield name, value[0]


def _people(graph: Graph, people: Sequence[tuple[str, Sequence[str]]]) -> None:
    only(graph, BUILDER)
    encoders = of_class(graph, ENCODER)
    if not encoders:
        raise ValueError(f"The workflow has no {ENCODER} node.")
    own = {"image", "identities", "name"}
    kept = {k: v for k, v in graph[encoders[0]]["inputs"].items() if k not in own}
    ends = [
        (id, name)
        for id, node in graph.items()
        if id not in encoders
        for name, source in links(node)
        if source in encoders
    ]
    for id in encoders:
        del graph[id]
    last = None
    for name, photographs in people:
        image = _photographs(graph, photographs)
        inputs = {**kept, "image": image, "name": name}
        if last is not None:
            inputs["identities"] = [last, 0]
        last = add(graph, ENCODER, inputs)
    for id, name in ends:
        graph[id]["inputs"][name] = [last, 0]


def _photographs(graph: Graph, names: Sequence[str]) -> list[Any]:
    image = [add(graph, LOADER, {"image": names[0]}), 0]
    for name in names[1:]:
        other = [add(graph, LOADER, {"image": name}), 0]
        image = [add(graph, "ImageBatch", {"image1": image, "image2": other}), 0]
    return image


def shows_poses(graph: Graph) -> bool:
    """Tell whether the workflow's condition image is a drawn pose."""
    inputs = only(graph, PLACER)["inputs"]
    return "pose_keypoint" in inputs or "base_image" in inputs


def _stand(graph: Graph, placer: dict[str, Any], count: int) -> None:
    preset = f"standing_{count}"
    for id in of_class(graph, POSE):
        if placer.get("pose_keypoint") == [id, 0] and preset in PRESETS:
            graph[id]["inputs"]["pose"] = preset
        elif placer.get("pose_keypoint") == [id, 0]:
            del placer["pose_keypoint"]


def _size(graph: Graph, placer: dict[str, Any], size: tuple[int, int]) -> None:
    placer["width"], placer["height"] = size
    for node in graph.values():
        if node["class_type"].startswith("EmptyLatent") or node["class_type"] == POSE:
            node["inputs"] |= {"width": size[0], "height": size[1]}


def upstream(graph: Graph, side: str) -> Iterator[str]:
    """Yield the CLIP Text Encode nodes that feed the `side` inputs, through any nodes between."""
    waiting = [source for node in graph.values() for n, source in links(node) if n == side]
    seen = set()
    while waiting:
        id = waiting.pop()
        if id in seen:
            continue
        seen.add(id)
        if graph[id]["class_type"] == TEXT:
            yield id
        else:
            # A node with both sides passes each on; one with neither is a conditioning filter.
            sources = dict(links(graph[id]))
            waiting += [sources[side]] if side in sources else sources.values()


def prune(graph: Graph) -> Graph:
    """Return the graph without loaders whose picture or pose nobody uses any more."""
    used = {source for node in graph.values() for _, source in links(node)}
    idle = {id for kind in (LOADER, POSE) for id in of_class(graph, kind) if id not in used}
    return {id: node for id, node in graph.items() if id not in idle}
