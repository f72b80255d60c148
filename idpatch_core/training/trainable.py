"""Selects the trainable parameters by the patterns of the config; with LoRA or in full."""

from fnmatch import fnmatchcase

from torch import Tensor, nn

from .config import TrainableConfig

ADAPTER = "idpatch"


def select_trainable(networks: nn.Module, config: TrainableConfig) -> list[str]:
    """Freeze all parameters that match no pattern; return the names of the trainable ones.

    With `lora_rank` the UNet's layers in `lora_layers` get trainable LoRA weights (Hu et al.,
    arXiv 2106.09685) through peft. Raises ValueError for a pattern that matches nothing.
    """
    networks.requires_grad_(False)
    if config.lora_rank:
        from peft import LoraConfig

        settings = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_rank,
            init_lora_weights="gaussian",
            target_modules=list(config.lora_layers),
        )
        networks.get_submodule("unet").add_adapter(settings, adapter_name=ADAPTER)  # pyright: ignore[reportCallIssue]
    unused = set(config.parameters)
    for name, parameter in networks.named_parameters():
        matching = [p for p in config.parameters if fnmatchcase(name, p)]
        unused.difference_update(matching)
        parameter.requires_grad_(bool(matching) or is_lora(name))
    if unused:
        raise ValueError(
            f"trainable.parameters: {sorted(unused)[0]!r} matches no parameter. Names begin with "
            "unet., controlnet., patch_proj. or prompt_proj.; * matches any text."
        )
    return [name for name, p in networks.named_parameters() if p.requires_grad]


def named_weights(networks: nn.Module, names: list[str]) -> dict[str, Tensor]:
    parameters = dict(networks.named_parameters())
    return {name: parameters[name] for name in names}


def is_lora(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def is_projection(name: str) -> bool:
    return name.startswith(("patch_proj.", "prompt_proj."))
