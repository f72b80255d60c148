"""A graph with each of the pack's nodes, and prompts in which one input has a wrong value."""

import copy
import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from standins import standin_names

from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.comfyui.errors import NodeError
from idpatch_core.comfyui.graph import Graph, add_node, find_node, inputs_of
from idpatch_core.comfyui.group_photo import set_placements, set_size, set_steps
from idpatch_core.comfyui.workflows import load_workflow
from idpatch_core.layout import Point

WIDTH, HEIGHT = 192, 96
PORTRAIT = Path(__file__).parents[2] / "idpatch_core" / "demo" / "portraits" / "Ada.png"
# The inputs that Refine Identities shares with the ID-Patch Sampler.
SAMPLED = "model positive negative control_net id_patches seed steps cfg sampler_name scheduler"
SAMPLED = (*SAMPLED.split(), "control_strength")
NOT_FINITE = (math.nan, math.inf, -math.inf)
# What a client may write in place of a link, or of a value.
LITERALS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    *NOT_FINITE,
    2**63,
    10**30,
    -(10**30),
    "",
    " ",
    "zzz",
    "3",
    "NaN",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    "安娜",
    "x" * 10_000,
    "[" * 10_000,
    '[{"x": 1e999, "y": 0}]',
    [],
    [1, 2, 3],
    {},
    {"samples": 3},
    # ComfyUI passes on what is in it, also a list, which would be a link otherwise.
    {"__value__": []},
    {"__value__": [1, 2]},
    {"__value__": [[["x"]]]},
    {"__value__": {"a": 1}},
)
ACCIDENT = re.compile(
    r"object has no attribute|object is not|not subscriptable|unsupported operand|not iterable"
    r"|unhashable|must be real number|argument must be|positional argument|unexpected keyword"
    r"|out of range|invalid literal|codec can't|Expected \d-?D|size mismatch|shapes cannot"
    r"|must match the size|Traceback|Errno|<class|<built-in|dtype|tensor a "
)


class WrongPrompt(NamedTuple):
    graph: Graph
    node_id: str  # the node with the wrong value
    input_name: str
    kind: str  # of the input, as ComfyUI writes it
    value: Any  # as written into the graph; of a link, the name of what it carries

    def __str__(self) -> str:
        node_class = self.graph[self.node_id]["class_type"]
        return f"{node_class}.{self.input_name} = {str(self.value)[:60]!r}"


def make_full_graph(client: ComfyClient) -> Graph:
    """Return a graph in which each node of the pack runs with right values, once."""
    graph, _ = load_workflow("self_test")
    set_size(graph, WIDTH, HEIGHT)
    set_steps(graph, 1)
    set_placements(graph, [Point(48 * n, 44) for n in (1, 2, 3)])
    models = find_node(graph, "IDPatchLoadDemoModels")
    sampler, hint = inputs_of(graph, "IDPatchSampler"), [find_node(graph, "IDPatchPlacer"), 0]
    people = inputs_of(graph, "IDPatchBuilder")["identities"]
    image = [find_node(graph, "VAEDecode"), 0]
    names = standin_names()
    latent = {"width": WIDTH, "height": HEIGHT, "batch_size": 1}
    sampler["latent_image"] = [add_node(graph, "EmptyLatentImage", latent), 0]

    add_node(graph, "IDPatchLoadModel", {"model_name": names["idpatch"], "weight_dtype": "default"})
    face_model = {"recognition": names["face_model"], "detector": "yunet"}
    add_node(graph, "IDPatchLoadFaceModel", face_model)
    pose = add_node(graph, "IDPatchLoadPose", {"pose": "standing_3", "width": 512, "height": 256})
    inputs_of(graph, "IDPatchPlacer")["pose_keypoint"] = [pose, 0]
    inputs_of(graph, "IDPatchPlacer")["base_image"] = [
        add_node(graph, "EmptyImage", {**latent, "color": 0}),
        0,
    ]
    texts = {name: sampler[name] for name in ("positive", "negative")}
    injector = {**texts, "id_patches": sampler["id_patches"], "injection_ratio": 0.8}
    injected = add_node(graph, "IDPatchTokenInjector", {**injector, "token_strength": 1.0})
    control = {"positive": [injected, 0], "negative": [injected, 1], "id_hint": hint}
    control |= {"control_net": sampler["control_net"], "strength": 0.8, "guide_patches": False}
    add_node(graph, "IDPatchApplyControlNet", {**control, "start_percent": 0.0, "end_percent": 1.0})
    phrases = {"phrases": "Ada: red shirt", "caption": "{phrase}", "outside": 0.01, "id_hint": hint}
    add_node(graph, "IDPatchPhrases", {"model": [models, 0], "clip": [models, 1], **phrases})
    photos = [{"name": "Ada", "photos": [{"file": client.upload_image(PORTRAIT)}]}]
    named = {"people": json.dumps(photos), "min_face_size": 16, "face_model": [models, 5]}
    add_node(graph, "IDPatchPeople", named)
    settings = {name: sampler[name] for name in SAMPLED}
    refine = {**settings, "image": image, "vae": [models, 2], "face_model": [models, 5]}
    refine |= {"people": "all", "names": "", "small_share": 0.1, "denoise": 0.8, "id_hint": hint}
    refine |= {"crop_size": 96, "face_size": 32, "keep": "always"}
    add_node(graph, "IDPatchRefine", refine)
    larger = {"id_hint": hint, "id_patches": sampler["id_patches"], "width": 384, "height": 192}
    add_node(graph, "IDPatchResizeHint", larger)
    scorer = {"scorer": "conditioning", "threshold": 0.0, "face_model": [models, 5]}
    verify = {"image": image, "identities": people, "id_hint": hint}
    verify["scorer"] = [add_node(graph, "IDPatchLoadScorer", scorer), 0]
    until = {**settings, "vae": [models, 2], "id_hint": hint, "scorer": verify["scorer"]}
    until |= {"injection_ratio": 0.8, "tries": 1, "least_similarity": 0.0, "batch_size": 1}
    until |= {"one_person": sampler["positive"], "refine_steps": 1}
    add_node(graph, "IDPatchUntilRight", {**until, "crop_size": 96, "face_size": 32})
    report = add_node(graph, "IDPatchVerify", verify)
    add_node(graph, "IDPatchPickBest", {"image": image, "report_json": [report, 1]})
    save = {"report": [report, 0], "report_json": [report, 1], "filename_prefix": "wrong/report"}
    add_node(graph, "IDPatchSaveReport", save)
    add_node(
        graph, "IDPatchSaveIdentities", {"identities": people, "filename_prefix": "wrong/people"}
    )
    client.run(graph)
    saved = client.object_info("IDPatchLoadIdentities")["IDPatchLoadIdentities"]["input"]
    load = {"file": saved["required"]["file"][1]["options"][-1], "identities": people}
    add_node(graph, "IDPatchLoadIdentities", load)
    watch_outputs(graph, client)
    client.run(graph)
    missing = set(filter(is_ours, client.object_info())) - {n["class_type"] for n in graph.values()}
    assert not missing, f"add these nodes here: {', '.join(sorted(missing))}"
    return graph


def watch_outputs(graph: Graph, client: ComfyClient) -> None:
    """Add a node that ends the graph after each of our nodes."""
    info = client.object_info()
    for id, node in list(graph.items()):
        if is_ours(node["class_type"]) and not info[node["class_type"]]["output_node"]:
            add_node(graph, "PreviewAny", {"source": [id, 0]})


def is_ours(node_class: str) -> bool:
    return node_class.startswith("IDPatch")


def make_wrong_prompts(client: ComfyClient, graph: Graph, seed: int) -> Iterator[WrongPrompt]:
    """Yield prompts without end that add a node with one wrong value to a graph that has run.

    Each input of each node comes once before any comes again.
    """
    info = client.object_info()
    choose = random.Random(seed)
    inputs = [
        (id, name, spec[0] if isinstance(spec[0], str) else "COMBO")
        for id, node in graph.items()
        if is_ours(node["class_type"])
        for group in ("required", "optional")
        for name, spec in info[node["class_type"]]["input"].get(group, {}).items()
    ]
    anything = info["TestAnything"]["input"]["required"]["value"][0]
    outputs = [
        (id, slot)
        for id, node in graph.items()
        for slot in range(len(info[node["class_type"]]["output"]))
    ]
    while True:
        choose.shuffle(inputs)
        for id, name, kind in inputs:
            wrong = copy.deepcopy(graph)
            how = choose.choice(("literal", "carried", "carried", "foreign"))
            if how == "literal":
                value = written = choose.choice(LITERALS)
            elif how == "carried":
                value = choose.choice(anything)
                written = [add_node(wrong, "TestAnything", {"value": value}), 0]
            else:
                source, slot = choose.choice(outputs)
                value = f"{graph[source]['class_type']} {slot}"
                written = [source, slot]
            node = copy.deepcopy(graph[id])
            node["inputs"][name] = written
            added = add_node(wrong, node["class_type"], node["inputs"])
            if not info[node["class_type"]]["output_node"]:
                add_node(wrong, "PreviewAny", {"source": [added, 0]})
            yield WrongPrompt(wrong, added, name, kind, value)


def find_fault(prompt: WrongPrompt, error: NodeError | None) -> str | None:
    """Return what is wrong with the answer to a wrong prompt, None if it is as it should be."""
    if error is None:
        broken = prompt.value in ("NaN", "infinity") or str(prompt.value) in map(str, NOT_FINITE)
        if broken and prompt.kind in ("INT", "FLOAT"):
            return "it was accepted"
        return None
    if not re.search(rf"\b{prompt.input_name}\b", error.message):
        return f"it does not name the input: {error}"
    if error.node_id != prompt.node_id:
        return f"another node answers: {error}"
    if error.exception_type:  # or else ComfyUI's own check refused it
        if error.exception_type != "ValueError":
            return f"{error.exception_type}: {error}"
        said = error.message.replace(prompt.input_name, "")
        if ACCIDENT.search(said) or not error.message.endswith("."):
            return f"it is no sentence: {error}"
    return None
