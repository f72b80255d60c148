"""ComfyUI's own nodes between ours, on the demo models: what a graph of them would give."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

WIDTH, HEIGHT = 128, 64
STEPS, CFG, RATIO, STRENGTH = 4, 4.0, 0.5, 0.8
TEXT, STYLE = "two people in front of a blue wall", "wearing red shirts"
EXTRAS = (
    "clip_sdxl cond controlnet custom_sampler differential_diffusion freelunch hooks latent "
    "mahiro mask model_advanced model_downscale pag perpneg sag tcfg"
)

Texts = tuple[Any, Any]  # positive and negative


def load_core_nodes() -> None:
    """Let `call` find the nodes of EXTRAS besides ComfyUI's first ones."""
    import comfy_extras

    import nodes

    (folder,) = comfy_extras.__path__
    for name in EXTRAS.split():
        path = Path(folder, f"nodes_{name}.py")
        assert asyncio.run(nodes.load_custom_node(str(path), module_parent="comfy_extras")), name  # pyright: ignore[reportAttributeAccessIssue]


def call(name: str, *args: Any, **inputs: Any) -> Any:
    """Run one of ComfyUI's nodes; return its output, or all of them if it has several."""
    import nodes

    node = nodes.NODE_CLASS_MAPPINGS[name]  # pyright: ignore[reportAttributeAccessIssue]
    if hasattr(node, "define_schema"):
        out = node.execute(*args, **inputs)
        out = getattr(out, "args", out)
    else:
        out = getattr(node(), node.FUNCTION)(*args, **inputs)
    return out[0] if len(out) == 1 else out


class Group(NamedTuple):
    """The demo models, two people, and where they are in a small image."""

    pack: Any
    model: Any
    clip: Any
    control_net: Any
    id_patches: Any
    id_hint: Any

    def encode(self, text: str) -> Any:
        return call("CLIPTextEncode", self.clip, text)

    def texts(self) -> Texts:
        return self.encode(TEXT), self.encode("")

    def inject(self, texts: Texts, ratio: float = RATIO) -> Texts:
        """Return what the ID Token Injector makes of the texts."""
        node = self.pack.nodes.conditioning.IDPatchTokenInjector
        return node.execute(*texts, self.id_patches, ratio).args

    def apply(self, texts: Texts, part: tuple[float, float] = (0.0, 1.0)) -> Texts:
        """Return what Apply ID-Patch ControlNet makes of the texts."""
        node = self.pack.nodes.controlnet.IDPatchApplyControlNet
        return node.execute(*texts, self.control_net, self.id_hint, STRENGTH, *part).args

    def empty(self, batch: int = 1) -> dict[str, Any]:
        return call("EmptyLatentImage", WIDTH, HEIGHT, batch)

    def start(self) -> dict[str, Any]:
        """Return a latent that is not empty."""
        return {"samples": torch.randn(1, 12, HEIGHT // 8, WIDTH // 8, generator=seeded())}

    def ksampler(self, texts: Texts, model: Any = None, latent: Any = None, **given: Any) -> Tensor:
        """Return the latent of ComfyUI's KSampler."""
        settings = dict(seed=0, steps=STEPS, cfg=CFG, sampler_name="euler", scheduler="normal")
        positive, negative = texts
        inputs = {"model": model or self.model, "latent_image": latent or self.empty()}
        inputs |= {"positive": positive, "negative": negative, **settings, **given}
        return call("KSampler", **inputs)["samples"]

    def composable(self, texts: Texts, ratio: float = RATIO, **given: Any) -> Tensor:
        """Return the latent of ID Token Injector, Apply ID-Patch ControlNet and KSampler."""
        return self.ksampler(self.apply(self.inject(texts, ratio)), **given)

    def sampler(self, texts: Texts, model: Any = None, latent: Any = None, **given: Any) -> Tensor:
        """Return the latent of the ID-Patch Sampler."""
        inputs = dict(
            model=model or self.model,
            positive=texts[0],
            negative=texts[1],
            control_net=self.control_net,
            id_patches=self.id_patches,
            id_hint=self.id_hint,
            seed=0,
            steps=STEPS,
            cfg=CFG,
            sampler_name="euler",
            scheduler="normal",
            injection_ratio=RATIO,
            control_strength=STRENGTH,
            latent_image=latent,
        )
        node = self.pack.nodes.sampler.IDPatchSampler
        return node.execute(**inputs | given).args[0]["samples"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_group(pack: Any) -> Group:
    """Load the demo models and place two people; their faces are random."""
    model, clip, _, control_net, projections, _ = (
        pack.nodes.demo_models.IDPatchLoadDemoModels.execute().args
    )
    embeddings = torch.nn.functional.normalize(torch.randn(2, 512, generator=seeded()), dim=-1)
    identity = pack.idpatch_core.identity.Identity
    people = [identity(name, one) for name, one in zip("AB", embeddings, strict=True)]
    id_patches = pack.nodes.model.IDPatchBuilder.execute(projections, people).args[0]
    base = torch.rand(1, 3, HEIGHT, WIDTH, generator=seeded())
    points = [pack.idpatch_core.layout.Point(x, 30.0) for x in (40.0, 90.0)]
    image = pack.idpatch_core.canvas.compose(base, id_patches.patches, points)
    hint = pack.idpatch_core.canvas.Hint(image, base, tuple(points), id_patches.names)
    return Group(pack, model, clip, control_net, id_patches, hint)


def write_lora(group: Group) -> str:
    """Write a LoRA of one layer of the UNet and one of a text encoder; return its name."""
    import comfy.lora
    import folder_paths

    unet, encoders = group.model.model, group.clip.cond_stage_model
    wanted = (
        (comfy.lora.model_lora_keys_unet(unet, {}), unet.state_dict(), "mid_block_attentions_0"),
        (comfy.lora.model_lora_keys_clip(encoders, {}), encoders.state_dict(), "lora_te1_"),
    )
    lora = {}
    for keys, weights, name in wanted:
        key = next(key for key in keys if name in key and key.endswith(("to_v", "v_proj")))
        rows, columns = weights[keys[key]].shape
        lora[f"{key}.lora_up.weight"] = torch.randn(rows, 4, generator=seeded())
        lora[f"{key}.lora_down.weight"] = torch.randn(4, columns, generator=seeded(1)) / 4
    folder = Path(folder_paths.get_folder_paths("loras")[0])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(lora, folder / "tiny.safetensors")
    return "tiny.safetensors"
