"""Wrong values in the inputs of all nodes, through a live server.

IDPATCH_WRONG_PROMPTS (default: 60) is the number of prompts; IDPATCH_SEED (default: 1) chooses
them.
"""

import itertools
import os
from collections import Counter

from soaker import request
from wrong_values import find_fault, make_full_graph, make_wrong_prompts

from idpatch_core.comfyui.errors import NodeError
from idpatch_core.comfyui.graph import inputs_of

PROMPTS = int(os.environ.get("IDPATCH_WRONG_PROMPTS", "60"))
SEED = int(os.environ.get("IDPATCH_SEED", "1"))


def test_wrong_values_end_in_one_sentence_that_names_the_input(comfy_server):
    client = comfy_server.client
    graph = make_full_graph(client)
    faults, answers = [], Counter()
    for prompt in itertools.islice(make_wrong_prompts(client, graph, SEED), PROMPTS):
        error = None
        try:
            client.run(prompt.graph)
        except NodeError as refused:
            error = refused
        fault = find_fault(prompt, error)
        if fault:
            faults.append(f"{prompt}: {fault}")
        answers["made" if error is None else error.exception_type or "refused by ComfyUI"] += 1
    print(f"seed {SEED}: {dict(answers)}")
    assert not faults, f"{len(faults)} of {PROMPTS}:\n" + "\n".join(faults)
    inputs_of(graph, "IDPatchSampler")["seed"] = SEED + 1
    assert client.run(graph).images(), "the server still makes images"
    # ComfyUI's list of all prompts is no JSON once one of them holds NaN.
    request(comfy_server.url, "/history", {"clear": True})
