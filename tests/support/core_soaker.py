"""The prompts of `soaker` with ComfyUI's own nodes alone, on the stand-in checkpoint."""

from soaker import KINDS, Soaker
from standins import standin_names

from idpatch_core.comfyui.graph import Graph

CORE_KINDS = {**KINDS, "image": KINDS["image"] + KINDS["encode"], "encode": 0}
LATENT, VAE = "4", "6"


def core_graph(text: str, seed: int, steps: int = 1) -> Graph:
    """Return text to image with ComfyUI's first nodes, and a model that one of them has changed."""
    sampler = {"seed": seed, "steps": steps, "cfg": 2.5, "denoise": 1.0}
    sampler |= {"sampler_name": "euler", "scheduler": "normal", "model": ["8", 0]}
    sampler |= {"positive": ["2", 0], "negative": ["3", 0], "latent_image": [LATENT, 0]}
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": standin_names()["checkpoint"]}),
        "2": ("CLIPTextEncode", {"text": text, "clip": ["1", 1]}),
        "3": ("CLIPTextEncode", {"text": "", "clip": ["1", 1]}),
        LATENT: ("EmptyLatentImage", {"width": 192, "height": 96, "batch_size": 1}),
        "5": ("KSampler", sampler),
        VAE: ("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
        "7": ("SaveImage", {"images": [VAE, 0], "filename_prefix": "core"}),
        "8": ("RescaleCFG", {"model": ["1", 0], "multiplier": 0.7}),
    }
    return {node: {"class_type": kind, "inputs": inputs} for node, (kind, inputs) in nodes.items()}


class CoreSoaker(Soaker):
    """Sends prompts without our nodes; a server needs the stand-in models and their pack."""

    kinds = CORE_KINDS

    def make_graph(self, template: str, seed: int, steps: int = 1) -> Graph:
        return core_graph(template, seed, steps)

    def _refused(self, number: int) -> None:
        graph = core_graph("", 0)
        graph[LATENT]["inputs"]["width"] = self._random.choice(("wide", -8, None))
        self._expect_refusal(number, graph)

    def _fails(self, number: int) -> None:
        """Decode a latent of 16 channels with a VAE of 4."""
        graph = core_graph("", 0)
        size = {"width": 192, "height": 96, "batch_size": 1}
        graph["16"] = {"class_type": "EmptySD3LatentImage", "inputs": size}
        graph[VAE]["inputs"]["samples"] = ["16", 0]
        self._expect_error(number, graph, VAE)
