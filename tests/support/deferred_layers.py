"""torch.nn's layers as ComfyUI makes them with dynamic VRAM: no weights until they are loaded."""

from typing import Any

from torch import nn


class Linear(nn.Module):
    """A Linear layer whose weight and bias are None until a state dict is loaded into it.

    Source: `disable_weight_init.Linear` in comfy/ops.py of ComfyUI 0.30 and later.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
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
        for name in ("weight", "bias") if self.has_bias else ("weight",):
            if prefix + name in state_dict:
                setattr(self, name, nn.Parameter(state_dict[prefix + name], requires_grad=False))
            else:
                missing_keys.append(prefix + name)

    def forward(self, x):
        return nn.functional.linear(x, self.weight, self.bias)


LayerNorm = nn.LayerNorm
