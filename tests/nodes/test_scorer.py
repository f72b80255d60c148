import json

import pytest
import torch
from verified import RIGHT, load_independent_scorer, verify_identities

from idpatch_core.face_detector import YuNet


@pytest.fixture(scope="module")
def module(comfy):
    return comfy.nodes.scorer


@pytest.fixture(scope="module")
def scorer(comfy):
    return load_independent_scorer(comfy)


def test_the_independent_recogniser_is_the_first_choice(module, scorer):
    assert (scorer.scorer.name, scorer.scorer.biased, scorer.warning) == ("fr_feature", False, "")
    options = module.IDPatchLoadScorer.define_schema().inputs[0].options
    assert options == [
        module.AUTO,
        "fr_feature.onnx",
        module.CONDITIONING,
    ]


def test_without_any_scorer_the_user_is_told(module, monkeypatch):
    monkeypatch.setattr(module, "list_scorer_files", dict)
    with pytest.raises(ValueError, match="scorer: no independent face-recognition model"):
        module.IDPatchLoadScorer.execute(module.AUTO)


def test_the_conditioning_network_scores_with_a_warning(comfy, module, monkeypatch):
    faces, networks = comfy.nodes.faces, comfy.nodes.model_management
    monkeypatch.setattr(module, "list_scorer_files", dict)
    torch.manual_seed(0)
    network = networks.manage(comfy.idpatch_core.arcface.IRSE50())
    face_model = faces.FaceModel(network, YuNet(), "ir_se50.pth", "YuNet")
    output = module.IDPatchLoadScorer.execute(module.AUTO, 0.5, face_model)
    scorer = output.result[0]
    assert output.ui == {"idpatch_warnings": [scorer.warning]}
    assert (scorer.scorer.biased, scorer.scorer.threshold) == (True, 0.5)
    report, text, *_ = verify_identities(comfy, scorer, RIGHT).result
    assert (
        "Warning: scored by ir_se50.pth, the conditioning model, so the scores are biased" in report
    )
    assert json.loads(text)["biased"] is True
