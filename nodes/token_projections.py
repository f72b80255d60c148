"""Keys and values of the text and ID tokens once a run, instead of once a step.

The tokens are the same in all steps of a part of the schedule, and so are their keys and values in
each cross-attention layer of UNet and ControlNet. For the time of a run the layers that compute
them keep their results. Nothing of it stays on the networks, also when a run fails.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_patcher
import torch
from torch import Tensor, nn

from ..idpatch_core.injection import Conditioning
from . import region_gate

LAYERS = ("attn2.to_k", "attn2.to_v")
# Different tokens at a time: both branches, before and after the boundary, and some more.
MOST_TOKENS = 8


class TokenProjections:
    """The results of layers for the last few tokens that they were given."""

    def __init__(self) -> None:
        self.contents: list[Tensor] = []  # (B, N, C) each
        self._results: list[dict[nn.Module, Tensor]] = []
        self._last: tuple[Tensor, dict[nn.Module, Tensor]] | None = None

    def project(
        self, layer: nn.Module, forward: Callable[[Tensor], Tensor], tokens: Tensor
    ) -> Tensor:
        """Return `forward(tokens)`, computed once for each layer and content."""
        if torch.compiler.is_compiling():
            return forward(tokens)
        results = self._find_results(tokens)
        if layer not in results:
            results[layer] = forward(tokens)
        return results[layer]

    def _find_results(self, tokens: Tensor) -> dict[nn.Module, Tensor]:
        # All layers of one call of a network get the same tensor: its values are compared once.
        if self._last is None or self._last[0] is not tokens:
            self._last = tokens, self._compare(tokens)
        return self._last[1]

    def _compare(self, tokens: Tensor) -> dict[nn.Module, Tensor]:
        for content, results in zip(self.contents, self._results, strict=True):
            same_kind = content.dtype == tokens.dtype and content.device == tokens.device
            if same_kind and torch.equal(content, tokens):
                return results
        if len(self.contents) == MOST_TOKENS:
            del self.contents[0], self._results[0]
        self.contents.append(tokens.clone())
        self._results.append({})
        return self._results[-1]

    def clear(self) -> None:
        self.contents.clear()
        self._results.clear()
        self._last = None


@contextmanager
def reuse_projections(networks: Iterable[nn.Module]) -> Iterator[TokenProjections]:
    """Let the layers of these networks keep the keys and values of tokens until the end."""
    known = TokenProjections()
    layers = [
        layer
        for network in networks
        for name, layer in network.named_modules()
        if name.endswith(LAYERS)
    ]
    own: dict[nn.Module, Any] = {layer: vars(layer).get("forward") for layer in layers}
    try:
        for layer in layers:
            layer.forward = functools.partial(known.project, layer, layer.forward)
        yield known
    finally:
        for layer in layers:
            if own[layer] is None:
                vars(layer).pop("forward", None)
            else:
                layer.forward = own[layer]
        known.clear()


def explain_no_reuse(
    model: comfy.model_patcher.ModelPatcher, conditionings: Iterable[Conditioning]
) -> str:
    """Return why keys and values of equal tokens cannot be kept, "" if they can."""
    if any(options.get("hooks") for entries in conditionings for _, options in entries):
        return "the conditioning has hooks, which change the weights during a run"
    if "torch_compile_kwargs" in model.model_options:
        return "the model is compiled, and would be compiled again in each run"
    options: Any = model.model_options.get("transformer_options", {})
    replaced = options.get("patches_replace", {}).get("attn2", {}).values()
    if options.get("patches", {}).get("attn2_patch") or any(
        getattr(replacement, "__module__", None) != region_gate.__name__ for replacement in replaced
    ):
        return "another node patches the model's cross-attention"
    return ""
