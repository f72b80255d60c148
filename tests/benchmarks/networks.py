"""The networks that are sampled: the tiny ones of the tests, or SDXL's with random weights."""

from typing import Any, NamedTuple

ONLY_UNET = ("out_channels", "transformer_depth_output")


def make_sdxl(device: str, dtype: Any) -> tuple[Any, Any]:
    """Return SDXL's model and a ControlNet of its size, with whatever values memory holds."""
    import comfy.cldm.cldm
    import comfy.ops
    import comfy.supported_models
    import torch
    from sdxl_unet import SDXL_UNET

    target = torch.device(device)
    sdxl = comfy.supported_models.SDXL({**SDXL_UNET, "dtype": dtype})
    sdxl.set_inference_dtype(dtype, None)
    model = sdxl.get_model({}, "", device=target)
    control = comfy.cldm.cldm.ControlNet(
        **{key: value for key, value in SDXL_UNET.items() if key not in ONLY_UNET},
        hint_channels=3,
        dtype=dtype,
        device=target,
        operations=comfy.ops.disable_weight_init,
    )
    return model, control


class Networks(NamedTuple):
    """A model and a ControlNet, with the pack that samples them."""

    pack: Any
    model: Any
    control_net: Any

    @classmethod
    def tiny(cls, pack: Any) -> "Networks":
        from reference_models import tiny_control_net, tiny_model

        return cls(pack, tiny_model(), tiny_control_net())

    @classmethod
    def full_size(cls, pack: Any, device: str) -> "Networks":
        """Return SDXL's size on the device, with random bfloat16 weights."""
        import comfy.controlnet
        import comfy.model_patcher
        import torch

        model, control = make_sdxl(device, torch.bfloat16)
        torch.manual_seed(0)
        for network in (model.diffusion_model, control):
            for weight in network.parameters():
                torch.nn.init.normal_(weight, std=0.02)
        target = torch.device(device)
        patcher = comfy.model_patcher.ModelPatcher(model, target, target)
        return cls(pack, patcher, comfy.controlnet.ControlNet(control, load_device=target))

    def sample(self, people: int, side: int, **settings: Any) -> None:
        """Sample random people, or with 0 people the same ControlNet with text alone."""
        import comfy.sample
        import comfy.samplers
        import comfy.utils
        import torch
        from diffusers_reference import random_case
        from sampling import node_inputs

        comfy.utils.PROGRESS_BAR_ENABLED = False
        case = random_case(people=max(people, 1), height=side, width=side)
        inputs, nodes = node_inputs(self.pack, case), self.pack.nodes
        given = {"cfg": 5.5, "control_strength": 0.8, "injection_ratio": 0.8, "seed": 0}
        given |= {"sampler_name": "euler", **settings}
        with torch.inference_mode():
            if people:
                nodes.sampler.IDPatchSampler.execute(
                    model=self.model, control_net=self.control_net, **inputs, **given
                )
                return
            hint = inputs["id_hint"]._replace(image=case.base)
            texts = inputs["positive"], inputs["negative"]
            strength = given["control_strength"]
            both = nodes.controlnet.apply_control_net(
                *texts, self.control_net, hint, strength, 0.0, 1.0
            )
            schedule = given["scheduler"], given["steps"], 1.0
            comfy.sample.sample_custom(
                self.model,
                case.noise,
                given["cfg"],
                comfy.samplers.sampler_object("euler"),
                nodes.sigmas.compute_sigmas(self.model, "euler", *schedule),
                *both,
                torch.zeros_like(case.noise),
                disable_pbar=True,
            )
