"""The two released files at their true sizes: id-patch.bin, and the ControlNet for ComfyUI's own
Load ControlNet."""

import json
import logging
import struct

import pytest
import torch
from projection_states import released_shapes

# ControlNetModel/config.json of an SDXL ControlNet in diffusers.
CONTROL_NET = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.fixture(scope="module")
def control_net_state():
    from diffusers import ControlNetModel

    with torch.device("meta"):
        return ControlNetModel(**CONTROL_NET).state_dict()


def write_zeros(path, tensors, dtype="F16", size=2):
    """Write a .safetensors file of zeros that takes no room on the disk."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * size
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def test_comfyui_reads_the_released_control_net(comfy, control_net_state, monkeypatch, caplog):
    from comfy import controlnet, model_management

    assert sum(tensor.numel() * 4 for tensor in control_net_state.values()) == 5_004_056_640
    # The network without its 5 GB.
    monkeypatch.setattr(model_management, "unet_offload_device", lambda: torch.device("meta"))
    with caplog.at_level(logging.WARNING):
        loaded = controlnet.load_controlnet_state_dict(dict(control_net_state))
    assert caplog.messages == []  # no missing keys, none left over
    network = loaded.control_model
    assert len(network.state_dict()) == len(control_net_state)
    comfy.nodes.controlnet.check_control_net(loaded, 2048)


@pytest.mark.slow
@torch.inference_mode()
def test_load_control_net_reads_the_file(comfy, control_net_state, tmp_path):
    import folder_paths

    import nodes

    write_zeros(tmp_path / "id-patch-controlnet.safetensors", control_net_state)
    folder_paths.add_model_folder_path("controlnet", str(tmp_path))
    (loaded,) = nodes.ControlNetLoader().load_controlnet("id-patch-controlnet.safetensors")
    with pytest.raises(ValueError, match="control_net: it is untrained"):
        comfy.nodes.controlnet.check_control_net(loaded, 2048)
    weights = loaded.control_model.state_dict()
    assert sum(weight.numel() for weight in weights.values()) == 5_004_056_640 // 4
    assert not any(weight.any() for weight in weights.values())


@pytest.mark.slow
@torch.inference_mode()
def test_the_nodes_project_ten_people_with_the_released_sizes(comfy, tmp_path):
    import folder_paths

    from idpatch_core.identity import Identity

    projections = {}
    for name, sizes in {"patch_proj": (3, 4096), "prompt_proj": (16, 2048)}.items():
        shapes = released_shapes(*sizes)
        projections[name] = {key: torch.randn(shape) * 0.02 for key, shape in shapes.items()}
    torch.save(projections, tmp_path / "released.bin")
    folder_paths.add_model_folder_path("idpatch", str(tmp_path))
    model = comfy.nodes.model.IDPatchLoadModel.execute("released.bin").args[0]
    embeddings = torch.nn.functional.normalize(torch.randn(10, 512), dim=-1)
    people = [Identity(f"P{i}", embedding) for i, embedding in enumerate(embeddings)]
    out = comfy.nodes.model.IDPatchBuilder.execute(model, people).args[0]
    assert out.patches.shape == (10, 3, 64, 64)
    assert out.tokens.shape == out.zero_tokens.shape == (10, 16, 2048)
    assert torch.isfinite(out.patches).all()
