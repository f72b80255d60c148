import pytest
import torch
from diffusers_reference import random_case
from dynamic_vram import dynamic_vram
from sampling import composable_conditioning, node_inputs, run_composable


def test_both_branches_share_one_controlnet_copy(comfy, tiny_sdxl):
    positive, negative = composable_conditioning(comfy, tiny_sdxl, random_case())
    controls = {options["control"] for _, options in positive + negative}
    assert len(positive) == len(negative) == 2 and len(controls) == 1
    assert controls.pop() is not tiny_sdxl.control_net


def test_the_hint_reaches_the_controlnet_untouched(comfy, tiny_sdxl):
    case = random_case()
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case)
    hint = node_inputs(comfy, case)["id_hint"].image
    assert torch.equal(positive[0][1]["control"].cond_hint_original, hint)


def test_sampling_a_latent_of_another_size_is_refused(comfy, tiny_sdxl):
    case = random_case(height=192, width=128)._replace(noise=torch.zeros(1, 4, 32, 24))
    with pytest.raises(ValueError, match=r"it is 128x192, but the latent .* is for 192x256 pixels"):
        run_composable(comfy, tiny_sdxl, case, "euler", "normal")


def apply(comfy, tiny_sdxl, texts, *settings):
    node = comfy.nodes.controlnet.IDPatchApplyControlNet
    hint = node_inputs(comfy, random_case())["id_hint"]
    return node.execute(*texts, tiny_sdxl.control_net, hint, *settings).args


def test_at_strength_0_the_conditioning_stays_as_it_is(comfy, tiny_sdxl):
    inputs = node_inputs(comfy, random_case())
    texts = inputs["positive"], inputs["negative"]
    assert apply(comfy, tiny_sdxl, texts, 0.0, 0.0, 1.0) == texts


def test_two_at_a_time_are_refused(comfy, tiny_sdxl):
    inputs = node_inputs(comfy, random_case())
    first = apply(comfy, tiny_sdxl, (inputs["positive"], inputs["negative"]), 0.8, 0.0, 0.5)
    second = apply(comfy, tiny_sdxl, first, 0.4, 0.5, 1.0)
    assert second[0][0][1]["control"].previous_controlnet is first[0][0][1]["control"]
    message = "positive: an ID-Patch ControlNet acts on it already, from 0.5 to 1 of the noise"
    with pytest.raises(ValueError, match=message):
        apply(comfy, tiny_sdxl, second, 0.8, 0.5, 0.6)


def test_controlnets_of_other_models_are_refused(comfy, tiny_sdxl):
    import comfy.controlnet as controlnet
    from reference_models import small_sdxl, unet_config

    check, cpu = comfy.nodes.controlnet.check_control_net, torch.device("cpu")
    check(tiny_sdxl.control_net, 2048)
    with dynamic_vram(False):  # its weights are never loaded
        network = small_sdxl().new_control_net({**unet_config(), "cross_attention_dim": 768})
    with pytest.raises(ValueError, match="control_net: it reads text tokens 768 wide"):
        check(controlnet.ControlNet(network, load_device=cpu), 2048)
    with pytest.raises(ValueError, match="expected an SDXL ControlNet, got ControlLora"):
        check(controlnet.ControlLora({}), 2048)
    with pytest.raises(ValueError, match="expected an SDXL ControlNet, got Linear"):
        check(controlnet.ControlNet(torch.nn.Linear(1, 1), load_device=cpu), 2048)


def test_untrained_and_union_controlnets_are_refused(comfy, tiny_sdxl, monkeypatch):
    check = comfy.nodes.controlnet.check_control_net
    network = tiny_sdxl.control_net.control_model
    for output in (*network.zero_convs, network.middle_block_out):
        for weight in output.parameters():
            monkeypatch.setattr(weight, "data", torch.zeros_like(weight))
    with pytest.raises(ValueError, match="control_net: it is untrained"):
        check(tiny_sdxl.control_net, 2048)
    monkeypatch.setattr(network, "task_embedding", torch.nn.Parameter(torch.ones(8, 320)))
    with pytest.raises(ValueError, match="control_net: it is a ControlNet Union"):
        check(tiny_sdxl.control_net, 2048)


def test_a_core_without_preprocess_image_gets_the_hint(comfy, tiny_sdxl, monkeypatch):
    kind, copy = type(tiny_sdxl.control_net), type(tiny_sdxl.control_net).copy

    def copy_without(self):
        copied = copy(self)
        del copied.preprocess_image
        return copied

    monkeypatch.setattr(kind, "copy", copy_without)
    case = random_case()
    positive, _ = composable_conditioning(comfy, tiny_sdxl, case)
    control = positive[0][1]["control"]
    hint = node_inputs(comfy, case)["id_hint"].image
    assert torch.equal(control.cond_hint_original, hint)
    assert control.preprocess_image(hint) is hint
