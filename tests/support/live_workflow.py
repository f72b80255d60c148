"""Bundled workflows for a live server: with photos and stand-in models, at a small size."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from standins import standin_names

from idpatch_core.comfyui.client import ComfyClient
from idpatch_core.comfyui.graph import Graph
from idpatch_core.comfyui.group_photo import (
    PersonPhotos,
    set_models,
    set_people,
    set_seed,
    set_size,
    set_steps,
)
from idpatch_core.comfyui.workflows import load_workflow

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def standin_workflow(name: str, steps: int) -> Graph:
    """Return a bundled workflow with stand-in models."""
    graph, _ = load_workflow(name)
    set_models(graph, standin_names())
    set_seed(graph, 1)
    set_steps(graph, steps)
    return graph


def small_workflow(client: ComfyClient, name: str, *photos: Path | bytes, steps: int = 3) -> Graph:
    """Return a bundled workflow with stand-in models and these people, 192 by 128 pixels."""
    graph = standin_workflow(name, steps)
    set_people(graph, upload_people(client, photos))
    set_size(graph, 192, 128)
    return graph


def upload_people(client: ComfyClient, photos: Sequence[Path | bytes]) -> list[PersonPhotos]:
    """Upload a photo of each person, who keep the names that the workflow has."""
    return [PersonPhotos(None, [client.upload_image(photo)]) for photo in photos]


def run_image(client: ComfyClient, graph: Graph) -> np.ndarray:
    """Run a workflow that saves one image and return it, (H, W, 3) uint8 RGB."""
    (file,) = client.run(graph).images()
    return np.array(Image.open(io.BytesIO(client.fetch(file))).convert("RGB"))


def png_bytes(image: np.ndarray) -> bytes:
    """Return an image (H, W, 3) uint8 RGB as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
