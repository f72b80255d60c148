"""Guidance in the first steps of a run only: the later steps run without the negative branch."""

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
from torch import Tensor

GUIDANCE_KEY = "idpatch_guidance"
WITHOUT = 1.0  # the cfg at which ComfyUI leaves out the negative branch


def end_guidance(
    model: comfy.model_patcher.ModelPatcher, sigma: float
) -> comfy.model_patcher.ModelPatcher:
    """Return a clone of the model whose steps below this sigma run at cfg 1."""
    model = model.clone()
    wrapper = comfy.patcher_extension.WrappersMP.PREDICT_NOISE
    model.add_wrapper_with_key(wrapper, GUIDANCE_KEY, _guide_until(sigma))
    return model


def _guide_until(sigma: float) -> Callable[..., Tensor]:
    def predict_noise(
        executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        guider = executor.class_obj
        cfg = guider.cfg
        if float(timestep.max()) < sigma:
            guider.set_cfg(WITHOUT)
        try:
            return executor(x, timestep, *args, **kwargs)
        finally:
            guider.set_cfg(cfg)

    return predict_noise
