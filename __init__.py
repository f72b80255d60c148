"""ID-Patch for ComfyUI: several given people in one image, each at a chosen position."""

import logging
import re
from pathlib import Path

WEB_DIRECTORY = "./web"

if not re.fullmatch(r"[A-Za-z0-9._~-]+", _FOLDER := Path(__file__).resolve().parent.name):
    logging.warning(
        "[ID-Patch] ComfyUI cannot serve the Patch Placer's editor from a folder called %r. Rename "
        "this folder to ComfyUI-ID-Patch and start ComfyUI again.",
        _FOLDER,
    )


async def comfy_entrypoint():
    from .nodes import IDPatchExtension

    return IDPatchExtension()
