from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture
def three(comfy):
    embeddings = torch.nn.functional.normalize(torch.randn(3, 512), dim=1)
    return [
        comfy.idpatch_core.identity.Identity(
            f"person {number}", embedding, np.full((112, 112, 3), number, np.uint8), number / 4
        )
        for number, embedding in enumerate(embeddings, 1)
    ]


def test_people_are_saved_and_loaded(comfy, three):
    import folder_paths

    identities = comfy.nodes.identities
    identities.IDPatchSaveIdentities.execute(three, "family/trio")
    folder_paths.filename_list_cache.pop("idpatch_identities", None)
    file = str(Path("family", "trio_00001_.safetensors"))
    assert file in folder_paths.get_filename_list("idpatch_identities")
    assert identities.IDPatchLoadIdentities.validate_inputs(file) is True
    loaded = identities.IDPatchLoadIdentities.execute(file, three[:1]).args[0]
    assert [one.name for one in loaded] == ["person 1", "person 1 2", "person 2", "person 3"]
    for a, b in zip(loaded[1:], three, strict=True):
        assert torch.equal(a.embedding, b.embedding) and (a.crop == b.crop).all()
        assert a.token_strength == b.token_strength


def test_nothing_saved_says_what_to_do(comfy):
    identities = comfy.nodes.identities
    message = identities.IDPatchLoadIdentities.validate_inputs(identities.NONE_SAVED)
    assert "Save people with Save Identities" in message
