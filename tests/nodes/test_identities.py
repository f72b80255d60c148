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


@pytest.fixture
def output(comfy, tmp_path, monkeypatch):
    """ComfyUI's output folder, empty."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    return tmp_path / "output"


def saved_files(folder):
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("people", "people"),
        ("./people", "people"),
        ("family/people", "family/people"),
        ("family\\\\people", "family/people"),
        ("a//./b/people", "a/b/people"),
        ("Jürgen 李", "Jürgen 李"),
    ],
)
def test_saving_again_overwrites_nothing(comfy, three, output, prefix, name):
    save = comfy.nodes.identities.IDPatchSaveIdentities.execute
    for count in (1, 3, 2):
        save(three[:count], prefix)
    files = [f"identities/{name}_0000{number}_.safetensors" for number in (1, 2, 3)]
    assert saved_files(output) == files
    load = comfy.idpatch_core.identity.load_identities
    assert [len(load(output / file)) for file in files] == [1, 3, 2]


@pytest.mark.parametrize("prefix", ["", ".", "..", "family/", "family/.", "a/..", " ", "a\\", "\0"])
def test_a_prefix_without_a_name_is_refused(comfy, three, output, prefix):
    with pytest.raises(ValueError, match=r"^filename_prefix: .* has no file name"):
        comfy.nodes.identities.IDPatchSaveIdentities.execute(three, prefix)
    assert not output.exists()


@pytest.mark.parametrize(
    "prefix", ["../x", "a/../../x", "..\\x", "/tmp/x", "C:/x", "C:x", "\\\\h\\x"]
)
def test_a_prefix_that_leaves_the_folder_is_refused(comfy, three, output, prefix):
    with pytest.raises(ValueError, match=r"^filename_prefix: .* leaves the folder .*identities"):
        comfy.nodes.identities.IDPatchSaveIdentities.execute(three, prefix)
    assert not output.exists()


def test_a_number_that_is_taken_is_skipped(comfy, three, output, monkeypatch):
    import folder_paths

    def number_one(prefix, root):
        return root, prefix, 1, "", prefix

    monkeypatch.setattr(folder_paths, "get_save_image_path", number_one)
    for _ in range(2):
        comfy.nodes.identities.IDPatchSaveIdentities.execute(three, "a")
    assert len(saved_files(output)) == 2


def test_what_cannot_be_written_leaves_nothing(comfy, three, output):
    save = comfy.nodes.identities.IDPatchSaveIdentities.execute
    with pytest.raises(ValueError, match=r"^filename_prefix: .*cannot be written .*name too long"):
        save(three, "x" * 300)
    assert saved_files(output) == []


def test_a_missing_or_damaged_file_names_the_input(comfy, output):
    import folder_paths

    load = comfy.nodes.identities.IDPatchLoadIdentities.execute
    (folder,) = folder_paths.get_folder_paths("idpatch_identities")
    for name in ("none", "../../secret.safetensors", "\0"):
        with pytest.raises(ValueError, match=r"^file: .* was not found in"):
            load(name)
    path = Path(folder, "damaged.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"damaged")
    try:
        with pytest.raises(ValueError, match=r"^file: damaged\.safetensors cannot be read: "):
            load("damaged.safetensors")
    finally:
        path.unlink()
