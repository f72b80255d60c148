"""ID-Patch for ComfyUI: several given people in one image, each at a chosen position."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import IDPatchExtension

    return IDPatchExtension()
