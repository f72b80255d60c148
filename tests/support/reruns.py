"""Which nodes a live server runs after a change of the self test's graph."""

from collections.abc import Callable
from typing import Any, NamedTuple

from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.comfyui.graph import Graph, find_nodes, inputs_of, is_link
from idpatch_core.comfyui.workflows import load_workflow

ENCODER, SAMPLER = "IDPatchFaceEncoder", "IDPatchSampler"


class Rerun(NamedTuple):
    """The classes of the nodes that ran, in order, and the steps that the sampler did."""

    nodes: list[str]
    steps: int


def short_self_test(steps: int = 2) -> Graph:
    """Return the self test's graph: three people, encoded by a chain of Face Encoders."""
    graph, _ = load_workflow("self_test")
    inputs_of(graph, SAMPLER)["steps"] = steps
    return graph


def run_again(client: ComfyClient, graph: Graph) -> Rerun:
    """Run a graph and return what ran."""
    nodes, steps = [], set()

    def note(event: Any) -> None:
        if event.kind == "executing":
            nodes.append(graph[event.node]["class_type"])
        elif event.kind == "progress" and graph[event.node]["class_type"] == SAMPLER:
            steps.add(event.value)

    client.run(graph, on_event=note)
    return Rerun(nodes, len(steps - {0}))


def _chain(graph: Graph) -> list[dict[str, Any]]:
    """Return the inputs of the encoders, in the order of the chain."""
    encoders = [graph[node]["inputs"] for node in find_nodes(graph, ENCODER)]
    return sorted(encoders, key=lambda inputs: _count_before(graph, inputs))


def _count_before(graph: Graph, inputs: dict[str, Any]) -> int:
    if not is_link(inputs.get("identities")):
        return 0
    return 1 + _count_before(graph, graph[inputs["identities"][0]]["inputs"])


def _rename(graph: Graph, encoder: dict[str, Any], name: str) -> None:
    """Rename a person, whose placement the editor then renames as well."""
    placer = inputs_of(graph, "IDPatchPlacer")
    placer["placements"] = placer["placements"].replace(f'"{encoder["name"]}"', f'"{name}"')
    encoder["name"] = name


def _set_name(graph: Graph) -> None:
    _rename(graph, _chain(graph)[0], "Zoe")


def _set_last_name(graph: Graph) -> None:
    _rename(graph, _chain(graph)[-1], "Yan")


def _set_weight(graph: Graph) -> None:
    _chain(graph)[-1]["token_strength"] = 0.9


def _move_person(graph: Graph) -> None:
    placer = inputs_of(graph, "IDPatchPlacer")
    placer["placements"] = placer["placements"].replace('"x": ', '"x": 1', 1)


def _set_prompt(graph: Graph) -> None:
    text = graph[inputs_of(graph, SAMPLER)["positive"][0]]["inputs"]
    text["text"] += ", outdoors"


def _set_seed(graph: Graph) -> None:
    inputs_of(graph, SAMPLER)["seed"] += 1


def _set_strength(graph: Graph) -> None:
    inputs_of(graph, SAMPLER)["control_strength"] = 0.9


CHANGES: dict[str, Callable[[Graph], None]] = {
    "nothing": lambda graph: None,
    "seed": _set_seed,
    "ControlNet strength": _set_strength,
    "prompt": _set_prompt,
    "placement": _move_person,
    "last person's token strength": _set_weight,
    "last person's name": _set_last_name,
    "first person's name": _set_name,
}
