"""A LoRA that training exports, in ComfyUI's own loader."""

import torch
from diffusers_reference import load_networks
from torch import nn

from idpatch_core.safetensors_file import write_safetensors
from idpatch_core.training.config import TrainableConfig
from idpatch_core.training.export import read_lora
from idpatch_core.training.trainable import select_trainable

RANK = 3


def test_each_layer_is_loaded_and_changed_as_it_was_trained(comfy, tiny_sdxl, tmp_path):
    import comfy.lora
    import comfy.sd
    import comfy.utils

    unet = load_networks()[0]
    plain = {name: weight.clone() for name, weight in unet.state_dict().items()}
    select_trainable(nn.ModuleDict({"unet": unet}), TrainableConfig((), lora_rank=RANK))
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if ".lora_B." in name:
                weight.normal_(generator=torch.Generator().manual_seed(0))
    write_safetensors(read_lora(unet), tmp_path / "lora.safetensors")

    lora = comfy.utils.load_torch_file(str(tmp_path / "lora.safetensors"))
    model, _ = comfy.sd.load_lora_for_models(tiny_sdxl.model, None, lora, 1.0, 0.0)
    assert model is not None
    trained = [name for name in plain if name.endswith(("to_q.weight", "to_k.weight"))]
    trained += [name for name in plain if name.endswith(("to_v.weight", "to_out.0.weight"))]
    assert len(trained) == len(lora) / 3 == len(model.patches)

    keys = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    layers = dict(unet.named_modules())
    weights = model.model_state_dict()
    for name in trained:
        key = f"diffusion_model.{keys[name]}"
        weight = weights[key].float().clone()  # ComfyUI changes it in place
        patched = comfy.lora.calculate_weight(model.patches[key], weight, key)
        delta = layers[name.removesuffix(".weight")].get_delta_weight("idpatch")
        torch.testing.assert_close(patched, plain[name].float() + delta)
