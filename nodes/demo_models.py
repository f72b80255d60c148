"""The demo: a small SDXL that draws cartoon people, its ID-Patch models, and portraits."""

from pathlib import Path

from comfy_api.v0_0_2 import io, ui

from ..idpatch_core.face_detector import load_detector
from . import sockets
from .faces import load_face_model
from .images import load_image
from .model import load_id_patch
from .schema import Schema

DEMO = Path(__file__).parents[1] / "idpatch_core" / "demo"  # comes with the pack
DEMO_MODELS, DEMO_PORTRAITS = DEMO / "models", DEMO / "portraits"
DRAWN_FACE_DETECTOR = "yunet for drawn faces"  # shown in reports


def list_portraits() -> dict[str, Path]:
    return {path.stem: path for path in DEMO_PORTRAITS.glob("*.png")}


class IDPatchLoadDemoModels(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadDemoModels",
            display_name="Load Demo Models",
            category=sockets.CATEGORY,
            search_aliases=["test", "example", "self test", "cartoon"],
            description="Loads the small models that come with the pack. They draw cartoon people, "
            "to try the nodes and to check the installation without large downloads.",
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The small SDXL."),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="Its text encoders, for captions such as `two people in front of a "
                    "blue wall, wearing red shirts`.",
                ),
                io.Vae.Output(display_name="vae", tooltip="Its VAE."),
                io.ControlNet.Output(
                    display_name="control_net", tooltip="Its ID-Patch ControlNet."
                ),
                sockets.IDPatchModel.Output(
                    display_name="idpatch_model", tooltip="Its projections."
                ),
                sockets.FaceModel.Output(
                    display_name="face_model",
                    tooltip="Its face model. It was trained on drawn people, not on photographs.",
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from .small_sdxl import load_small_sdxl  # late: it relies on internals of ComfyUI

        projections = load_id_patch(DEMO_MODELS / "id-patch.safetensors")
        detector = load_detector(DEMO_MODELS / "detector.onnx")
        face_model = load_face_model(
            DEMO_MODELS / "face.safetensors", detector, DRAWN_FACE_DETECTOR
        )
        return io.NodeOutput(*load_small_sdxl(DEMO_MODELS), projections, face_model)


class IDPatchLoadDemoPortrait(sockets.Node):
    FILE_INPUTS = ("person",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadDemoPortrait",
            display_name="Load Demo Portrait",
            category=sockets.CATEGORY,
            search_aliases=["example face", "test image", "cartoon"],
            description="Loads a drawn portrait that comes with the pack. The demo models were not "
            "trained on any of these people.",
            inputs=[
                io.Combo.Input(
                    "person",
                    options=sorted(list_portraits()),
                    tooltip="The person to load.",
                )
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The portrait, for a Face Encoder.")
            ],
        )

    @classmethod
    def execute(cls, person: str) -> io.NodeOutput:
        portraits = list_portraits()
        if person not in portraits:
            raise ValueError(
                f"person: there is no portrait {person!r}. Choose one of "
                f"{', '.join(sorted(portraits))}."
            )
        image = load_image(portraits[person])
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))
