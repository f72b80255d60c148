"""The nodes of the pack, one module per topic."""

from comfy_api.v0_0_2 import ComfyExtension, io

from .conditioning import IDPatchTokenInjector
from .controlnet import IDPatchApplyControlNet
from .demo_models import IDPatchLoadDemoModels, IDPatchLoadDemoPortrait
from .faces import IDPatchFaceEncoder, IDPatchLoadFaceModel
from .identities import IDPatchLoadIdentities, IDPatchSaveIdentities
from .model import IDPatchBuilder, IDPatchLoadModel
from .people import IDPatchPeople
from .phrases import IDPatchPhrases
from .placer import IDPatchPlacer
from .pose import IDPatchLoadPose
from .refine import IDPatchRefine
from .region_gate import IDPatchRegionGate
from .report import IDPatchPickBest, IDPatchSaveReport
from .resize_hint import IDPatchResizeHint
from .sampler import IDPatchSampler
from .scorer import IDPatchLoadScorer
from .until_right import IDPatchUntilRight
from .verify import IDPatchVerify

NODES: list[type[io.ComfyNode]] = [
    IDPatchLoadFaceModel,
    IDPatchFaceEncoder,
    IDPatchPeople,
    IDPatchSaveIdentities,
    IDPatchLoadIdentities,
    IDPatchLoadModel,
    IDPatchBuilder,
    IDPatchLoadPose,
    IDPatchPlacer,
    IDPatchTokenInjector,
    IDPatchApplyControlNet,
    IDPatchRegionGate,
    IDPatchPhrases,
    IDPatchSampler,
    IDPatchRefine,
    IDPatchResizeHint,
    IDPatchLoadScorer,
    IDPatchVerify,
    IDPatchPickBest,
    IDPatchUntilRight,
    IDPatchSaveReport,
    IDPatchLoadDemoModels,
    IDPatchLoadDemoPortrait,
]


class IDPatchExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
