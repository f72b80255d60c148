import json
import urllib.request


def graph(seed: int = 1) -> dict:
    return {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "standin-sdxl.safetensors"},
        },
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "two people", "clip": ["1", 1]}},
        "3": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1},
        },
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["2", 0],
                "latent_image": ["3", 0],
                "seed": seed,
                "steps": 3,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {
            "class_type": "SaveImage",
            "inputs": {"images": ["5", 0], "filename_prefix": "test"},
        },
    }


def test_the_stand_in_checkpoint_makes_an_image(comfy_server):
    result = comfy_server.client.run(graph())
    assert comfy_server.client.fetch(result.images()[0]).startswith(b"\x89PNG")


def test_the_editor_gets_the_names_of_the_nodes_in_three_languages(comfy_server):
    with urllib.request.urlopen(f"{comfy_server.url}/i18n") as answer:
        translations = json.load(answer)
    names = {
        language: translations[language]["nodeDefs"]["IDPatchPlacer"]["display_name"]
        for language in ("en", "ja", "zh")
    }
    assert names == {"en": "Patch Placer", "ja": "パッチ配置", "zh": "补丁放置器"}
