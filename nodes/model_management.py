"""Runs the pack's own networks under ComfyUI's model management."""

from collections.abc import Callable

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor, nn

operations = comfy.ops.manual_cast


def manage(network: nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Put a network under ComfyUI's model management, which decides where its weights are kept.

    Build the network with `operations`, so that weights kept on another device or in another dtype
    are cast layer by layer. A parameter outside such a layer is not moved when the network is
    loaded partially: the forward method must cast it to the input.
    """
    network.eval().requires_grad_(False)
    _make_ordinary(network)
    return make_patcher(network)


def make_patcher(network: nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Return the patcher that the running ComfyUI uses for its own models."""
    # Newer cores choose here, once they have started, a patcher that streams weights.
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def _make_ordinary(network: nn.Module) -> None:
    """Replace inference tensors, which are unusable once they were moved outside inference mode.

    Nodes load in inference mode; ComfyUI unloads outside it to free memory.
    """
    with torch.inference_mode(False):
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.is_inference():
                    setattr(module, name, nn.Parameter(parameter.clone(), requires_grad=False))
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.is_inference():
                    setattr(module, name, buffer.clone())


def run_network(
    patcher: comfy.model_patcher.ModelPatcher,
    call: Callable[[nn.Module, Tensor], Tensor],
    x: Tensor,
) -> Tensor:
    """Load the network as ComfyUI decides, call it in float32, and return a CPU tensor."""
    comfy.model_management.load_models_gpu([patcher])
    y = call(patcher.model, x.to(patcher.load_device, torch.float32))
    return y.to("cpu", torch.float32)
