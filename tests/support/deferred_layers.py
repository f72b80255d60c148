"""torch.nn's layers as ComfyUI makes them with dynamic VRAM: no weights until they are loaded."""

from typing import Any

import torch
from torch import nn


class Linear(nn.Module):
    """A Linear layer whose weight and bias are None until a state dict is loaded into it.

    Source: `disable_weight_init.Linear` in comfy/ops.py of ComfyUI 0.30 and later.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        nn.Module.__init__(self)  # not super(): ComfyUI's own class may borrow this method
        self.in_features, self.out_features, self.has_bias = in_features, out_features, bias
        self.weight = self.bias = None

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        shapes = {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}
        for name in ("weight", "bias") if self.has_bias else ("weight",):
            if prefix + name in state_dict:
                tensor = state_dict[prefix + name]
                if not local_metadata.get("assign_to_params_buffers", False):
                    tensor = tensor.clone()
            else:
                tensor = torch.zeros(shapes[name])
                missing_keys.append(prefix + name)
            setattr(self, name, nn.Parameter(tensor, requires_grad=False))

    def forward(self, x):
        return nn.functional.linear(x, self.weight, self.bias)


def __getattr__(name: str) -> type[nn.Module]:
    return getattr(nn, name)  # the layers that are not deferred
