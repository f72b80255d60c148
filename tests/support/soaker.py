"""Many prompts of several kinds, with the outcome that each must have, through one live server."""

import copy
import hashlib
import io
import json
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from idpatch_core.comfyui.client import ComfyClient, File
from idpatch_core.comfyui.errors import Interrupted, NodeError
from idpatch_core.comfyui.graph import Graph, find_nodes, inputs_of
from idpatch_core.comfyui.group_photo import set_seed, set_steps
from idpatch_core.comfyui.workflows import load_workflow

ENCODER, PLACER = "IDPatchFaceEncoder", "IDPatchPlacer"
TEMPLATES = ("self_test", "self_test", "region_gate", "describe_people")
SEEDS = 3  # of each template
LONG = 1000  # steps of a prompt that is cancelled
BLOCK = 50  # prompts after which the history is checked and deleted
# How many of 100 prompts are of each kind, about.
KINDS = {
    "image": 55,
    "encode": 15,
    "refused": 8,
    "fails": 8,
    "cancelled": 5,
    "deleted": 4,
    "free": 5,
}


class Soak(NamedTuple):
    """What happened: the prompts of each kind, what was made for each key, and the problems."""

    counts: Counter[str]
    made: dict[str, str]  # a hash of what the prompts of a key made
    repeated: Counter[str]  # how often the same was made again
    problems: list[str]


def image_graph(template: str, seed: int, steps: int = 1) -> Graph:
    """Return a template with so many steps, without its upscaling."""
    graph, _ = load_workflow(template)
    set_steps(graph, steps)
    set_seed(graph, seed)
    for node in find_nodes(graph, "ImageScaleBy"):
        graph[node]["inputs"]["scale_by"] = 1.0
    return graph


def encoder_graph(strength: float, prefix: str) -> Graph:
    """Return the Face Encoders of the self test alone, with a node that saves their people."""
    full, _ = load_workflow("self_test")
    last = inputs_of(full, "IDPatchBuilder")["identities"]
    graph: Graph = {"save": {"class_type": "IDPatchSaveIdentities", "inputs": {}}}
    graph["save"]["inputs"] = {"identities": last, "filename_prefix": prefix}
    wanted = ("IDPatchLoadDemoModels", "IDPatchLoadDemoPortrait", ENCODER)
    graph |= {node: copy.deepcopy(full[node]) for kind in wanted for node in find_nodes(full, kind)}
    graph[last[0]]["inputs"]["token_strength"] = strength
    return graph


def request(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send JSON to a server, or get it from there; return its answer."""
    content = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def hash_images(client: ComfyClient, files: list[File]) -> str:
    """Return a hash of the pixels of saved images, whose nodes may have run in any order."""
    digest = hashlib.sha256()
    for file in sorted(files):
        pixels = np.array(Image.open(io.BytesIO(client.fetch(file))).convert("RGB"))
        digest.update(f"{pixels.shape}".encode() + pixels.tobytes())
    return digest.hexdigest()[:16]


class Soaker:
    """Sends prompts to one server and keeps account of them; `output` is its output folder."""

    kinds = KINDS

    def __init__(self, client: ComfyClient, output: Path, seed: int):
        self._client, self._output, self._random = client, output, random.Random(seed)
        self._expected: dict[str, str] = {}  # the status of each prompt that the history must have
        self.done = Soak(Counter(), {}, Counter(), [])

    def run(self, prompts: int, after_block: Callable[[int], None] = lambda _: None) -> Soak:
        """Run so many prompts; `after_block` is called with their number after each BLOCK."""
        for number in range(1, prompts + 1):
            kind = self._random.choices(list(self.kinds), list(self.kinds.values()))[0]
            self.done.counts[kind] += 1
            try:
                getattr(self, f"_{kind}")(number)
            except Exception as error:
                self._note(number, kind, f"{type(error).__name__}: {error}")
            if number % BLOCK == 0 or number == prompts:
                self._check_history(number)
                after_block(number)
        return self.done

    def make_graph(self, template: str, seed: int, steps: int = 1) -> Graph:
        return image_graph(template, seed, steps)

    def _note(self, number: int, kind: str, what: str) -> None:
        self.done.problems.append(f"prompt {number} ({kind}): {what}")

    def _keep(self, number: int, key: str, made: str) -> None:
        before = self.done.made.setdefault(key, made)
        self.done.repeated[key] += 1
        if before != made:
            self._note(number, key, f"it made {made}, before {before}")

    def _wait(self, graph: Graph, status: str) -> tuple[str, Any]:
        """Queue a graph and wait for it; return its id, and its result or the error it ended by."""
        prompt = self._client.queue(graph)
        self._expected[prompt] = status
        try:
            for _ in self._client.events(prompt, graph):
                pass
            return prompt, self._client.result(prompt, graph)
        except (NodeError, Interrupted) as error:
            return prompt, error

    def make_again(self, key: str) -> None:
        """Make what has this key in `Soak.made`."""
        kind, *values = key.split()
        if kind == "image":
            self._make_image(0, values[0], int(values[1]))
        else:
            self._save_people(0, float(values[0]))

    def _image(self, number: int) -> None:
        self._make_image(number, self._random.choice(TEMPLATES), self._random.randrange(SEEDS))

    def _make_image(self, number: int, template: str, seed: int) -> None:
        graph = self.make_graph(template, seed)
        _, result = self._wait(graph, "success")
        if isinstance(result, Exception):
            raise result
        made = hash_images(self._client, result.images())
        self._keep(number, f"image {template} {seed}", made)

    def _encode(self, number: int) -> None:
        self._save_people(number, self._random.choice((0.5, 1.0)))

    def _save_people(self, number: int, strength: float) -> None:
        _, result = self._wait(encoder_graph(strength, f"soak/{number}"), "success")
        if isinstance(result, Exception):
            raise result
        (file,) = self._output.glob(f"identities/soak/{number}_*.safetensors")
        self._keep(number, f"encode {strength}", hashlib.sha256(file.read_bytes()).hexdigest()[:16])
        file.unlink()

    def _refused(self, number: int) -> None:
        graph = image_graph("self_test", 0)
        inputs_of(graph, PLACER)["width"] = self._random.choice(("wide", -8, None))
        self._expect_refusal(number, graph)

    def _expect_refusal(self, number: int, graph: Graph) -> None:
        try:
            self._client.queue(graph)
        except NodeError as error:
            if "width" not in str(error):
                self._note(number, "refused", f"the message does not name width: {error}")
        else:
            self._note(number, "refused", "it was accepted")

    def _fails(self, number: int) -> None:
        graph = image_graph("self_test", 0)
        node = self._random.choice(find_nodes(graph, ENCODER))
        graph[node]["inputs"] |= {"face": "index", "index": 7}
        self._expect_error(number, graph, node)

    def _expect_error(self, number: int, graph: Graph, node: str) -> None:
        _, error = self._wait(graph, "error")
        if not isinstance(error, NodeError) or error.node_id != node:
            self._note(number, "fails", f"expected an error of node {node}, got {error!r}")

    def _long(self) -> tuple[str, Graph]:
        graph = self.make_graph("self_test", self._random.randrange(2**32), LONG)
        prompt = self._client.queue(graph)
        self._expected[prompt] = "error"  # as ComfyUI calls an interrupted prompt
        return prompt, graph

    def _cancel(self, number: int, prompt: str, graph: Graph) -> None:
        """Cancel a prompt once its sampler works."""
        try:
            for event in self._client.events(prompt, graph):
                if event.kind == "progress":
                    self._client.cancel(prompt)
        except Interrupted:
            return
        self._note(number, "cancelled", "it ran to its end")

    def _cancelled(self, number: int) -> None:
        self._cancel(number, *self._long())

    def _deleted(self, number: int) -> None:
        """Delete a prompt that waits behind another one, which is then cancelled."""
        first, graph = self._long()
        waiting = self._client.queue(self.make_graph("self_test", 0))
        self._client.cancel(waiting)
        if self._client.state(waiting) != "unknown":
            self._note(number, "deleted", "the server still has it")
        self._cancel(number, first, graph)

    def _free(self, number: int) -> None:
        """Make an image after the server has dropped its models and what it has computed."""
        request(self._client.url, "/free", {"unload_models": True, "free_memory": True})
        self._image(number)

    def _check_history(self, number: int) -> None:
        """Compare the history with what was queued since it was deleted, and delete it."""
        self._wait_until_idle()
        found = self._read_history()
        if found != self._expected:
            ids = sorted(found.items() ^ self._expected.items())
            self._note(number, "history", f"differs from what was queued in {ids}")
        for prompt in found:
            self._client.forget(prompt)
        if left := self._read_history():
            self._note(number, "history", f"{len(left)} records are left")
        self._expected.clear()

    def _wait_until_idle(self) -> None:
        """Wait for an empty queue: a cancelled prompt is recorded after its client is told."""
        deadline = time.monotonic() + 30
        while any(request(self._client.url, "/queue").values()) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _read_history(self) -> dict[str, str]:
        """Return the status of each prompt in the history."""
        history = request(self._client.url, "/history")
        return {prompt: record["status"]["status_str"] for prompt, record in history.items()}
