"""Runs a bundled workflow in a ComfyUI server and writes the image."""

import argparse
import sys
from pathlib import Path

import torch

from ..comfyui import environment
from ..comfyui.client import ComfyClient
from ..comfyui.errors import ComfyError
from ..comfyui.graph import Graph
from ..comfyui.group_photo import (
    MODEL_LOADERS,
    PersonPhotos,
    clear_placements,
    set_models,
    set_people,
    set_seed,
    set_size,
    set_steps,
    set_text,
    size_of,
)
from ..comfyui.server import ServerError, comfyui_server
from ..comfyui.ui_format import to_ui
from ..comfyui.workflows import load_workflow
from ..journal import write_whole
from .progress import ProgressBar

REAL_WORKFLOW, DEMO_WORKFLOW = "group_photo", "self_test"
REAL_SIZE = (1024, 1024)  # pixels, with real models


def make_image(options: argparse.Namespace, here: environment.Environment) -> int:
    """Make the image that the command's options ask for; return the exit code."""
    real = options.checkpoint is not None
    models = {name: getattr(options, name) for name in MODEL_LOADERS} if real else {}
    cpu = options.cpu or not torch.cuda.is_available()
    environment.say(f"Starting ComfyUI{' on the CPU' if cpu else ''}")
    try:
        with (
            comfyui_server(here.python, here.comfyui, link_models(models), cpu=cpu) as server,
            ComfyClient(server.url) as client,
        ):
            graph, workflow = load_workflow(REAL_WORKFLOW if real else DEMO_WORKFLOW)
            set_models(graph, {name: file.name for name, file in models.items()})
            apply_options(graph, client, options, REAL_SIZE if real else size_of(graph))
            bar = ProgressBar(graph)
            workflow = to_ui(graph, client.object_info(), original=workflow)
            result = client.run(graph, workflow, on_event=bar)
            bar.close()
            (png,) = [client.fetch(file) for file in result.images()]
        write_whole(options.out, png)
    except KeyboardInterrupt:
        print("\nCancelled", file=sys.stderr)
        return 130
    except (ComfyError, ServerError, environment.SetupError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    environment.say(f"Wrote {options.out.resolve()}")
    if not real:
        environment.say("Drawn by the demo models. For a photo, give real models (see --help).")
    return 0


def link_models(models: dict[str, Path]) -> dict[str, Path]:
    """Return the path below `models/` at which each of the user's files is to be linked."""
    return {f"{MODEL_LOADERS[name].folder}/{file.name}": file for name, file in models.items()}


def apply_options(
    graph: Graph, client: ComfyClient, options: argparse.Namespace, size: tuple[int, int]
) -> None:
    """Upload the portraits and set the people, size, seed, steps and prompt of the workflow.

    `size` is (width, height) in pixels where the options give none. The workflow's own placements
    are for its people and its size: with others the Patch Placer arranges the people.
    """
    width, height = options.width or size[0], options.height or size[1]
    if options.portrait:
        files = [client.upload_image(path) for path in options.portrait]
        set_people(graph, [PersonPhotos(None, [file]) for file in files])
    if options.portrait or (width, height) != size_of(graph):
        clear_placements(graph)
    set_size(graph, width, height)
    set_seed(graph, options.seed)
    if options.steps is not None:
        set_steps(graph, options.steps)
    if options.prompt is not None:
        set_text(graph, "positive", options.prompt)
