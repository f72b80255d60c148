from pathlib import Path
from typing import Any

import pytest
import torch

from idpatch_core.demo_world.package import MAX_BYTES


def test_the_node_gives_all_six(comfy: Any, folder: Path, monkeypatch: pytest.MonkeyPatch):
    demo_models = comfy.nodes.demo_models

    monkeypatch.setattr(demo_models, "DEMO_MODELS", folder)
    node = demo_models.IDPatchLoadDemoModels
    _, clip, _, _, projections, face_model = node.execute().args
    assert len(node.define_schema().outputs) == 6
    crop = torch.zeros(112, 112, 3, dtype=torch.uint8)
    embedding = face_model.patcher.model(crop.permute(2, 0, 1)[None] / 127.5 - 1)[0]
    person = comfy.idpatch_core.identity.Identity("drawn", embedding, crop.numpy())
    patches = comfy.nodes.model.IDPatchBuilder.execute(projections, [person]).args[0]
    assert patches.patches.shape == (1, 3, 32, 32)
    text = clip.encode_from_tokens(clip.tokenize("one person"))
    assert patches.tokens.shape[-1] == text.shape[-1]


def test_the_pack_has_its_own_models_and_portraits(comfy: Any):
    demo_models = comfy.nodes.demo_models
    files = [file for file in demo_models.DEMO_MODELS.rglob("*") if file.is_file()]
    assert 1e6 < sum(file.stat().st_size for file in files) < MAX_BYTES
    model, *_ = demo_models.IDPatchLoadDemoModels.execute().args
    assert model.model.latent_format.latent_channels == 12
    portrait = demo_models.IDPatchLoadDemoPortrait
    (person, *_) = portrait.define_schema().inputs[0].options
    assert portrait.execute(person).args[0].shape == (1, 128, 128, 3)
    outside = Path(__file__).parents[1] / "data" / "secret"
    for name in ("No one", "", f"../portraits/{person}", f"../../../{person}", str(outside)):
        with pytest.raises(ValueError, match=r"^person: there is no portrait .* Choose one of"):
            portrait.execute(name)
