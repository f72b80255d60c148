"""The arithmetic of a run at SDXL's size, counted: no weights, no graphics card, no clock.

The ID-Patch Sampler runs with tiny networks, which record each call: its rows and its tokens. The
floating point operations of such a call are then counted on SDXL's UNet and ControlNet on PyTorch's
meta device, where tensors have shapes and no values.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from .machine import load_pack_in_comfyui

SIDE = 64  # pixels of the recorded images; the number of calls does not depend on it


class Calls(NamedTuple):
    """Rows and tokens of each call of a network, and of each of one layer's keys and values."""

    unet: list[tuple[int, int]]
    control_net: list[tuple[int, int, int]]  # rows, tokens, rows of the hint
    unet_keys: list[tuple[int, int]]
    control_keys: list[tuple[int, int]]


class Flops(NamedTuple):
    """Operations of one row with some number of tokens."""

    whole: int
    keys: int  # of these, the keys and values of the tokens
    hint: int = 0  # in addition, the condition image


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=1024, help="side of the image in pixels")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 3, 5, 10, 20])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the operations of a step without ID-Patch, with some people, and with options."""
    pack = load_pack_in_comfyui("cpu", "--use-pytorch-cross-attention")
    from .networks import Networks

    networks = Networks.tiny(pack)
    counter = Counter(options.size)
    base = {"steps": options.steps, "scheduler": "reference", "injection_ratio": 0.8}
    runs: dict[str, dict[str, Any]] = {"no ID-Patch": {"people": 0}}
    for people in options.people:
        name = f"{people} {'person' if people == 1 else 'people'}"
        runs |= {name: {"people": people}, f"{name}, reuse_tokens": {"people": people}}
        runs[f"{name}, reuse_tokens"]["reuse_tokens"] = True
    changes: dict[str, dict[str, Any]] = {
        "control_strength 0": {"control_strength": 0.0},
        "control_end 0.8": {"control_end": 0.8},
        "control_end 0.6": {"control_end": 0.6},
        "guidance_end 0.6": {"guidance_end": 0.6},
        "guidance_end 0.4": {"guidance_end": 0.4},
        "preset fast": {"preset": "fast"},
        "preset fast, reuse_tokens": {"preset": "fast", "reuse_tokens": True},
        "guide_patches": {"guide_patches": True},
        "cfg 1": {"cfg": 1.0},
        "8 steps, cfg 1": {"steps": 8, "cfg": 1.0, "scheduler": "sgm_uniform"},
    }
    runs |= {f"3 people, {name}": {"people": 3, **change} for name, change in changes.items()}
    rows = []
    for name, settings in runs.items():
        calls = record_calls(networks, {**base, **settings})
        total, keys = counter.count(calls)
        rows.append(
            {
                "run": name,
                "tflop_run": total / 1e12,
                "ratio": 1.0 if not rows else total / 1e12 / rows[0]["tflop_run"],
                "keys_share": keys / total,
                "unet_calls": len(calls.unet),
                "unet_rows": sum(rows for rows, _ in calls.unet),
                "control_calls": len(calls.control_net),
            }
        )
    one = counter.unet(77), counter.control_net(77)
    return {
        "settings": {key: getattr(options, key) for key in ("size", "steps")},
        "unet_tflop": one[0].whole / 1e12,
        "control_net_tflop": one[1].whole / 1e12,
        "hint_tflop": one[1].hint / 1e12,
        "rows": rows,
    }


def record_calls(networks: Any, settings: dict[str, Any]) -> Calls:
    """Sample with the tiny networks and return the calls."""
    calls = Calls([], [], [], [])
    unet, control = networks.model.model.diffusion_model, networks.control_net.control_model
    spied: list[tuple[Any, Callable[..., Any]]] = []

    def spy(layer: Any, note: Callable[..., None]) -> None:
        forward = layer.forward

        def noting(*args: Any, **kwargs: Any) -> Any:
            note(*args, **kwargs)
            return forward(*args, **kwargs)

        layer.forward = noting
        spied.append((layer, forward))

    def note_control(x: Any, hint: Any, timesteps: Any, context: Any, **_: Any) -> None:
        calls.control_net.append((len(x), context.shape[1], len(hint)))

    spy(unet, lambda x, t, context, *_, **__: calls.unet.append((len(x), context.shape[1])))
    spy(control, note_control)
    for network, keys in ((unet, calls.unet_keys), (control, calls.control_keys)):
        layer = next(m for name, m in network.named_modules() if name.endswith("attn2.to_k"))
        spy(layer, lambda x, keys=keys: keys.append((len(x), x.shape[1])))
    try:
        networks.sample(side=SIDE, **settings)
    finally:
        for layer, _ in spied:
            del layer.forward
    return calls


class Counter:
    """Counts the operations of SDXL's networks on the meta device."""

    def __init__(self, size: int):
        import torch

        from .networks import make_sdxl

        self.latent = size // 8
        with torch.device("meta"):
            model, self.control = make_sdxl("meta", torch.float32)
            self.network = model.diffusion_model
        self.unet, self.control_net = (
            functools.cache(self._count_unet),
            functools.cache(self._count_control_net),
        )

    def count(self, calls: Calls) -> tuple[int, int]:
        """Return all operations of these calls, and those of keys and values."""
        total = sum(rows * self._without_keys(self.unet(n)) for rows, n in calls.unet)
        for rows, tokens, hints in calls.control_net:
            flops = self.control_net(tokens)
            total += rows * self._without_keys(flops) + hints * flops.hint
        keys = sum(rows * self.unet(n).keys for rows, n in calls.unet_keys)
        keys += sum(rows * self.control_net(n).keys for rows, n in calls.control_keys)
        return total + keys, keys

    @staticmethod
    def _without_keys(flops: Flops) -> int:
        return flops.whole - flops.keys

    def _inputs(self, tokens: int) -> dict[str, Any]:
        import torch

        return {
            "x": torch.empty(1, 4, self.latent, self.latent, device="meta"),
            "timesteps": torch.empty(1, device="meta"),
            "context": torch.empty(1, tokens, 2048, device="meta"),
            "y": torch.empty(1, 2816, device="meta"),
        }

    def _count_unet(self, tokens: int) -> Flops:
        inputs = self._inputs(tokens)
        return Flops(*_count(self.network, lambda: self.network(**inputs)))

    def _count_control_net(self, tokens: int) -> Flops:
        import torch

        side = 8 * self.latent
        inputs = {**self._inputs(tokens), "hint": torch.empty(1, 3, side, side, device="meta")}
        whole, keys = _count(self.control, lambda: self.control(**inputs))
        block = self.control.input_hint_block
        embedding = torch.empty(1, 1280, device="meta")
        hint, _ = _count(block, lambda: block(inputs["hint"], embedding, inputs["context"]))
        return Flops(whole - hint, keys, hint)


def _count(network: Any, call: Callable[[], Any]) -> tuple[int, int]:
    """Return the operations of a call, and those of the keys and values of tokens in it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    keys, hooks = [], []

    def note(layer: Any, inputs: Any, output: Any) -> None:
        (tokens,) = inputs
        keys.append(2 * tokens.numel() * layer.weight.shape[0])

    for name, layer in network.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            hooks.append(layer.register_forward_hook(note))
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        call()
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops(), sum(keys)
