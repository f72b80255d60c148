"""What the Region Gate and phrases cost at SDXL's size: arithmetic and memory."""

import pytest
import torch
from sdxl_cost import measure_cost

PEOPLE, PER_PERSON, TEXT = 4, 16, 77
TOKENS = TEXT + PEOPLE * PER_PERSON


@pytest.fixture(autouse=True)
def pytorch_attention(comfy, monkeypatch):
    """Attention that keeps no scores, as on a GPU, in place of the CPU's own."""
    import comfy.ldm.modules.attention as attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(comfy.nodes.region_gate, "optimized_attention", attention.attention_pytorch)


@pytest.fixture(scope="module")
def plain(comfy):
    import comfy.ldm.modules.attention as attention

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "optimized_attention", attention.attention_pytorch)
        return measure_cost(TOKENS, {})


def gated_options(comfy, tiny_sdxl, described):
    """Return what the UNet gets of a model with a gate, in a step of both branches."""
    core, node = comfy.idpatch_core, comfy.nodes.region_gate
    point = core.layout.Point
    figures = [core.layout.Figure(point(128 + 256 * i, 300), 60) for i in range(PEOPLE)]
    captions = [core.phrases.Caption(i, torch.zeros(77, 2048)) for i in range(described)]
    gate = core.region_gate.RegionGate(figures, 1024, 1024, 0.01, captions=captions)
    model = node.gate_attention(tiny_sdxl.model, gate)
    layout = core.region_gate.TokenLayout(TEXT, PER_PERSON, PEOPLE)
    entries = {
        name: core.region_gate.Entry(layout, TOKENS, None, bool(captions) and name == "positive")
        for name in ("negative", "positive")
    }
    return {
        **model.model_options["transformer_options"],
        node.KEY: entries,
        "uuids": list(entries),
        "cond_or_uncond": [1, 0],
    }


def test_the_gate_costs_no_arithmetic_to_speak_of(comfy, tiny_sdxl, plain):
    cost = measure_cost(TOKENS, gated_options(comfy, tiny_sdxl, 0))
    # The counter leaves out sums: one for each score of the 70 layers, in 20 and 10 heads.
    scores = 2 * TOKENS * (60 * 20 * 32**2 + 10 * 10 * 64**2)
    assert plain.flops == pytest.approx(12e12, rel=0.2)  # two branches of 6 TFLOP
    assert (cost.flops + scores) / plain.flops - 1 < 0.005
    assert cost.peak / plain.peak - 1 < 0.05


def test_a_phrase_costs_at_most_3_percent_of_a_step_for_each_person(comfy, tiny_sdxl, plain):
    cost = measure_cost(TOKENS, gated_options(comfy, tiny_sdxl, PEOPLE))
    assert 0.005 < (cost.flops / plain.flops - 1) / PEOPLE < 0.03
    assert cost.peak / plain.peak - 1 < 0.05
