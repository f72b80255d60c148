"""ID-Patch for ComfyUI: several given people in one picture, each at a chosen place."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import IDPatchExtension

    return IDPatchExtension()
