"""Which parameters learn: by the patterns of the config, with LoRA or in full."""

from fnmatch import fnmatchcase

from torch import nn

from .config import Trained

ADAPTER = "idpatch"


def select(networks: nn.Module, trained: Trained) -> list[str]:
    """Freeze everything but the parameters that match; return the names of what learns.

    With `lora_rank` the UNet's layers in `lora_layers` get LoRA weights (Hu et al., arXiv
    2106.09685) through peft, and these learn as well. Raises ValueError for a pattern that matches
    nothing.
    """
    networks.requires_grad_(False)
    if trained.lora_rank:
        from peft import LoraConfig

        settings = LoraConfig(
            r=trained.lora_rank,
            lora_alpha=trained.lora_rank,
            init_lora_weights="gaussian",
            target_modules=list(trained.lora_layers),
        )
        networks.get_submodule("unet").add_adapter(settings, adapter_name=ADAPTER)  # pyright: ignore[reportCallIssue]
    unused = set(trained.names)
    for name, parameter in networks.named_parameters():
        matching = [p for p in trained.names if fnmatchcase(name, p)]
        unused.difference_update(matching)
        parameter.requires_grad_(bool(matching) or is_lora(name))
    if unused:
        raise ValueError(
            f"trained.names: {sorted(unused)[0]!r} matches no parameter. Names begin with unet., "
            "controlnet., patch_proj. or prompt_proj.; * stands for anything."
        )
    return [name for name, p in networks.named_parameters() if p.requires_grad]


def is_lora(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def is_projection(name: str) -> bool:
    return name.startswith(("patch_proj.", "prompt_proj."))
