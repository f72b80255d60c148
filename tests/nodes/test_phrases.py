import logging
import math

import pytest
import torch
from attention import attend_by_formula, nearest_bias, watch_layers
from core_nodes import CFG, HEIGHT, STEPS, TEXT, WIDTH, call, load_core_nodes, make_group

CAPTION = "one person in front of a blue wall, wearing {phrase}"
PHRASES = "A: red shirt\nB: green shirt"


@pytest.fixture(scope="module")
def group(comfy):
    with torch.inference_mode():
        load_core_nodes()
        made = make_group(comfy)
        layout = comfy.idpatch_core.layout
        figures = tuple(layout.Figure(point, 9.0) for point in made.id_hint.points)
        yield made._replace(id_hint=made.id_hint._replace(figures=figures))


@pytest.fixture(scope="module")
def plain(group):
    return group.composable(group.texts())


def describe(group, phrases=PHRASES, outside=0.1, model=None, **inputs):
    given = {"clip": group.clip, "id_hint": group.id_hint, "caption": CAPTION} | inputs
    node = group.pack.nodes.phrases.IDPatchPhrases
    return node.execute(model or group.model, phrases=phrases, outside=outside, **given)


def relative_difference(one, other):
    return float((one - other).norm() / other.norm())


def test_without_phrases_the_model_is_the_same(group):
    out = describe(group, " \n")
    assert out.args[0] is group.model
    (warning,) = out.ui["idpatch_warnings"]
    assert warning.startswith("phrases: none for A, B;")


def test_phrases_act_and_leave_nothing_behind(group, plain):
    model = describe(group).args[0]
    one = group.composable(group.texts(), model=model)
    assert relative_difference(one, plain) > 1e-3
    assert torch.equal(group.composable(group.texts()), plain)
    assert torch.equal(group.composable(group.texts(), model=model), one)
    other = describe(group, "A: red shirt\nB: blue shirt").args[0]
    assert relative_difference(group.composable(group.texts(), model=other), one) > 1e-3


def test_both_routes_agree(group):
    model = describe(group).args[0]
    out = group.composable(group.texts(), model=model)
    assert torch.equal(group.sampler(group.texts(), model=model), out)


def test_phrases_of_the_people_act_as_those_of_the_text(group):
    def draw(text, *own):
        hint = group.id_hint._replace(phrases=own)
        out = describe(group, text, id_hint=hint)
        return group.composable(group.texts(), model=out.args[0]), out.ui["idpatch_warnings"]

    expected, _ = draw(PHRASES)
    for text, *own in (
        ("", "red shirt", "green shirt"),
        ("B: green shirt", "red shirt", "a hat"),
        ('["red shirt", null]', "", "green shirt"),
    ):
        image, warnings = draw(text, *own)
        assert torch.equal(image, expected)
        assert warnings == []
    _, warnings = draw("", "", "green shirt")
    assert warnings == ["phrases: none for A; the positive prompt describes them."]


def test_phrases_come_with_the_people(group):
    nodes = group.pack.nodes
    people = [
        one._replace(phrase=phrase)
        for one, phrase in zip(group.id_patches.people, ("red shirt", ""), strict=True)
    ]
    id_patches = group.id_patches._replace(people=tuple(people))
    placer = nodes.placer.IDPatchPlacer
    hint = placer.execute(id_patches, WIDTH, HEIGHT, bodies="none").args[0]
    assert hint.phrases == ("red shirt", "")
    plain = placer.execute(group.id_patches, WIDTH, HEIGHT, bodies="none").args[0]
    assert torch.equal(hint.image, plain.image)
    larger = nodes.resize_hint.IDPatchResizeHint.execute(
        hint, id_patches, WIDTH * 2, HEIGHT * 2
    ).args[0]
    (warning,) = describe(group, "", id_hint=larger).ui["idpatch_warnings"]
    assert warning.startswith("phrases: none for B;")


def test_the_phrase_of_someone_off_the_canvas_is_left_out(group):
    points = (group.id_hint.points[0], None)
    figures = (group.id_hint.figures[0], None)
    hint = group.id_hint._replace(points=points, figures=figures, phrases=("red shirt", "a hat"))
    out = describe(group, "", id_hint=hint)
    assert out.ui["idpatch_warnings"] == []
    expected = describe(group, "A: red shirt", id_hint=hint._replace(phrases=())).args[0]
    made = group.composable(group.texts(), model=out.args[0])
    assert torch.equal(made, group.composable(group.texts(), model=expected))
    assert describe(group, "", id_hint=hint._replace(phrases=("", "a hat"))).args[0] is group.model


def test_a_new_phrase_of_a_person_samples_again(group):
    def draw(phrase):
        people = (group.id_patches.people[0]._replace(phrase=phrase), group.id_patches.people[1])
        id_patches = group.id_patches._replace(people=people)
        hint = group.id_hint._replace(phrases=id_patches.phrases)
        model = describe(group, "", id_hint=hint).args[0]
        return group._replace(id_patches=id_patches).sampler(group.texts(), model=model)

    assert relative_difference(draw("red shirt"), draw("blue shirt")) > 1e-3


def test_who_has_no_phrase_is_named(group, caplog):
    with caplog.at_level(logging.WARNING):
        out = describe(group, "B: green shirt")
    assert out.ui["idpatch_warnings"] == [
        "phrases: none for A; the positive prompt describes them."
    ]
    assert "phrases: none for A" in caplog.text
    assert describe(group).ui["idpatch_warnings"] == []


def test_someone_unknown_is_refused(group):
    with pytest.raises(ValueError, match="no one has the name 'Bob' in id_hint"):
        describe(group, "Bob: red shirt")


def test_a_change_encodes_the_captions_that_changed(group):
    encoded = []

    class CountingClip(type(group.clip)):
        def encode_from_tokens(self, *args, **options):
            encoded.append(self)
            return super().encode_from_tokens(*args, **options)

    clip = group.clip.clone()
    clip.__class__ = CountingClip

    def draw(phrases, names="AB", given=clip):
        hint = group.id_hint._replace(names=tuple(names))
        model = describe(group, phrases, clip=given, id_hint=hint).args[0]
        return group.composable(group.texts(), model=model)

    first = draw(PHRASES)
    assert torch.equal(draw(PHRASES.replace("B:", "C:"), "AC"), first)
    assert len(encoded) == 2
    changed = draw("A: red shirt\nB: blue shirt")
    assert len(encoded) == 3
    assert torch.equal(changed, draw("A: red shirt\nB: blue shirt", given=group.clip))
    clip.clip_layer(-3)
    assert not torch.equal(draw(PHRASES), first)
    assert len(encoded) == 5
    for number in range(40):
        describe(group, f"A: {number} hats", clip=clip)
    known = group.pack.nodes.phrases._encoded[clip]
    assert len(known) == group.pack.nodes.phrases.MOST_CAPTIONS


def test_a_clip_of_another_model_is_refused(group, monkeypatch):
    class OtherClip(type(group.clip)):
        def encode_from_tokens(self, *args, **options):
            return super().encode_from_tokens(*args, **options)[..., :-8]

    other = group.clip.clone()
    other.__class__ = OtherClip
    model = describe(group, clip=other).args[0]
    with pytest.raises(ValueError, match=r"clip: its text tokens are .* Connect the CLIP"):
        group.composable(group.texts(), model=model)


def add_tokens(model):
    """Another pack's patch of the cross-attention, with 3 tokens behind the text."""

    def patch(n, context, value, options):
        more = torch.full((len(context), 3, context.shape[-1]), 0.1)
        return 1.1 * n, torch.cat([context, more], 1), torch.cat([value, 2 * more], 1)

    model.set_model_attn2_patch(patch)


def add_lora(model):
    weights = model.model.state_dict()
    keys = [key for key in weights if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))]
    assert model.add_patches({key: (torch.randn_like(weights[key]) / 20,) for key in keys}, 1.0)


SITUATIONS = {
    "nothing else": (None, PHRASES, 0),
    "one person": (None, "B: green shirt", 0),
    "a LoRA": (add_lora, PHRASES, 0),
    "another patch": (add_tokens, PHRASES, 3),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_layer_equals_the_formula(group, comfy, name):
    change, phrases, foreign = SITUATIONS[name]
    model = group.model.clone()
    if change:
        change(model)
    model = describe(group, phrases, model=model).args[0]
    layers = watch_layers(model)
    group.composable(group.texts(), ratio=1.0, model=model, latent=group.empty(2))
    described = [i for i, person in enumerate("AB") if f"{person}:" in phrases]
    people, per_person, _ = group.id_patches.tokens.shape
    text = 77 + people * per_person
    assert layers and {branch for layer in layers for branch in layer.branches} == {0, 1}
    for layer in layers:
        size = layer.rows, layer.columns, WIDTH, HEIGHT
        distance = comfy.idpatch_core.regions.distances(group.id_hint.figures, *size).flatten(1)
        common = torch.full_like(distance[:1], 2.0)
        for person in {0, 1} - set(described):
            common = torch.minimum(common, distance[person])
        tokens = nearest_bias(distance, 0.1)
        captions = nearest_bias(torch.cat([distance[described], common]), 0.1)
        biases = []
        for branch in layer.branches:
            bias = torch.zeros(distance.shape[1], layer.k.shape[1], dtype=torch.float64)
            if branch == 0:
                bias[:, :77] = captions[-1:].T
            for person in range(people):
                first = 77 + person * per_person
                bias[:, first : first + per_person] = tokens[person, :, None]
            for place in range(len(described)) if 0 in layer.branches else ():
                first = text + foreign + 77 * place
                own = captions[place, :, None] if branch == 0 else -math.inf
                bias[:, first : first + 77] = own
            biases.append(bias)
        expected = attend_by_formula(layer, biases)
        torch.testing.assert_close(layer.out.double(), expected, atol=1e-4, rtol=1e-3)


def test_the_negative_branch_stays_as_with_the_gate_alone(group, comfy):
    """At cfg 0 the result is the negative branch."""
    gate = comfy.nodes.region_gate.IDPatchRegionGate.execute(group.model, group.id_hint, 0.1).args[
        0
    ]
    expected = group.composable(group.texts(), model=gate, cfg=0.0)
    out = group.composable(group.texts(), model=describe(group).args[0], cfg=0.0)
    assert relative_difference(out, expected) < 1e-5
    assert relative_difference(expected, group.composable(group.texts(), cfg=0.0)) > 1e-6


def test_entries_of_unequal_length_are_described_as_if_each_were_alone(group, monkeypatch):
    import comfy.samplers as samplers

    positive, negative = group.inject(group.texts(), 1.0)
    ((text, options),) = positive
    tokens = text.shape[1] - 77
    twice = torch.cat([text[:, :77].repeat(1, 3, 1)[:, : 154 + tokens], text[:, 77:]], dim=1)
    layout = options["idpatch_tokens"]._replace(start=154 + tokens)
    positive = [*positive, [twice, {**options, "idpatch_tokens": layout}]]
    model = describe(group).args[0]
    together = group.ksampler((positive, negative), model=model)
    calls = []

    def same(a, b):
        calls.append(a)
        return a is b

    monkeypatch.setattr(samplers, "can_concat_cond", same)
    alone = group.ksampler((positive, negative), model=model)
    assert calls
    assert relative_difference(alone, together) < 1e-4


def test_other_guiders_describe_all_but_their_negative_texts(group):
    positive, negative = group.apply(group.inject(group.texts()))
    model = describe(group).args[0]
    sigmas = call("BasicScheduler", model, "normal", STEPS, 1.0)
    sampler, noise = call("KSamplerSelect", "euler"), call("RandomNoise", 0)

    def sample(guider):
        out = call("SamplerCustomAdvanced", noise, guider, sampler, sigmas, group.empty())
        return out[0]["samples"]

    expected = group.ksampler((positive, negative), model=model)
    dual = call("DualCFGGuider", model, positive, positive, negative, 1.0, CFG, "regular")
    assert relative_difference(sample(dual), expected) < 1e-4
    perp = call("PerpNegGuider", model, positive, negative, negative, CFG, 1.0)
    assert relative_difference(sample(perp), expected) < 1e-4
    basic = call("BasicGuider", model, positive)
    assert torch.equal(sample(basic), group.ksampler((positive, negative), model=model, cfg=1.0))


def test_a_phrase_acts_before_the_id_tokens_do(group, plain):
    out = group.sampler(group.texts(), model=describe(group).args[0], injection_ratio=0.0)
    without = group.sampler(group.texts(), injection_ratio=0.0)
    assert relative_difference(out, without) > 1e-3


def test_a_phrase_that_is_the_prompt_changes_nothing(group):
    """Copies of a text, however they are weighted, give what one of them gives."""
    given = {"caption": "{phrase}", "outside": 0.0}
    model = describe(group, f"A: {TEXT}\nB: {TEXT}", **given).args[0]
    out = group.composable(group.texts(), ratio=0.0, model=model)
    expected = group.composable(group.texts(), ratio=0.0)
    assert relative_difference(out, expected) < 1e-5
