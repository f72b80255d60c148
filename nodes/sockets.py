"""The socket types that travel between the nodes, and what each carries."""

from comfy_api.v0_0_2 import io

FaceModel = io.Custom("IDPATCH_FACE_MODEL")  # nodes.faces.FaceModel
Identities = io.Custom("IDPATCH_IDENTITIES")  # list[idpatch_core.identity.Identity]
IDPatchModel = io.Custom("IDPATCH_MODEL")  # nodes.model.IDPatchModel
Patches = io.Custom("IDPATCH_PATCHES")  # idpatch_core.projection.IDPatches
Hint = io.Custom("IDPATCH_HINT")  # idpatch_core.canvas.Hint
Scorer = io.Custom("IDPATCH_SCORER")  # nodes.scorer.LoadedScorer
PoseKeypoint = io.Custom("POSE_KEYPOINT")  # frames of OpenPose-18 people

CATEGORY = "ID-Patch"
