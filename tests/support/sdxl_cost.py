"""Arithmetic and peak memory of SDXL's UNet at 1024x1024, counted without computing anything."""

import weakref
from typing import Any, NamedTuple

import torch
from dynamic_vram import dynamic_vram
from sdxl_unet import SDXL_UNET
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """`flops`, and the `peak` of what is allocated in bytes, weights apart."""

    flops: int
    peak: int


class PeakMemory(TorchDispatchMode):
    """Sums the storages that operations make and that are still in use."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {x.untyped_storage() for x in tree_leaves((args, kwargs)) if torch.is_tensor(x)}
        made = {x.untyped_storage() for x in tree_leaves(out) if torch.is_tensor(x)}
        for storage in made - given - set(self._seen):
            self._seen.add(storage)
            self.now += storage.nbytes()
            weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _free(self, size: int) -> None:
        self.now -= size


def attention_flops(
    q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    """Return the arithmetic of q kᵀ and of the weighted sum of v."""
    batch, heads, queries, width = q
    return 2 * batch * heads * queries * k[2] * (width + v[3])


def measure_cost(tokens: int, transformer_options: dict[str, Any]) -> Cost:
    """Return the cost of one evaluation of both branches, with so many tokens each."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    half = {"dtype": torch.float16, "device": "cpu"}
    operations = comfy.ops.disable_weight_init
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={attention: attention_flops})
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    # With dynamic VRAM on, layers would wait for weights to be loaded.
    with torch.inference_mode(False), torch.no_grad(), dynamic_vram(on=False), fake:
        unet = UNetModel(**SDXL_UNET, **half, operations=operations)
        x, context = torch.empty(2, 4, 128, 128, **half), torch.empty(2, tokens, 2048, **half)
        steps, y = torch.empty(2, **half), torch.empty(2, 2816, **half)
        with counter, PeakMemory() as memory:
            unet(x, steps, context=context, y=y, transformer_options=transformer_options)
    return Cost(counter.get_total_flops(), memory.peak)
