"""Resize Hint: the same people and places for an image of another size, such as a second pass."""

from comfy_api.v0_0_2 import io

from ..idpatch_core.canvas import LATENT_SCALE, Hint
from ..idpatch_core.overlap import OVERLAPS, SUM
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.resize_hint import resize_hint
from . import sockets
from .conditioning import show_warnings
from .schema import Schema


class IDPatchResizeHint(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchResizeHint",
            display_name="Resize Hint",
            category=sockets.CATEGORY,
            search_aliases=["second pass", "hires fix", "upscale", "enlarge"],
            description="Makes the condition image of another size, with the same people, places "
            "and skeletons, for a second pass that enlarges an image.",
            inputs=[
                sockets.Hint.Input("id_hint", tooltip="The condition image of the Patch Placer."),
                sockets.Patches.Input(
                    "id_patches", tooltip="The people of the hint, from the ID Patch Builder."
                ),
                io.Int.Input(
                    "width",
                    default=1536,
                    min=64,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="The width of the enlarged image in pixels.",
                ),
                io.Int.Input(
                    "height",
                    default=1536,
                    min=64,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="Its height in pixels. The aspect ratio must be that of the hint.",
                ),
                io.Combo.Input(
                    "overlap",
                    options=OVERLAPS,
                    default=SUM,
                    optional=True,
                    tooltip="How patches that overlap are combined, as in the Patch Placer.",
                ),
            ],
            outputs=[
                sockets.Hint.Output(
                    display_name="id_hint",
                    tooltip="The condition image of the new size. Its patches are as large as "
                    "before, or as the faces where the model was trained so.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, id_hint: Hint, id_patches: IDPatches, width: int, height: int, overlap: str = SUM
    ) -> io.NodeOutput:
        warnings = [id_hint.check_names(id_patches.names, "id_patches")]
        patches, face_sized = id_patches.patches, id_patches.face_sized
        resized = resize_hint(id_hint, patches, width, height, face_sized, overlap)
        return io.NodeOutput(resized, ui=show_warnings(warnings))
