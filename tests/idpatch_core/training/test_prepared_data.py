"""Several prepared folders are one set of images and people."""

import json
import os
from pathlib import Path

import pytest
import torch
from training_world import make_prepared

from idpatch_core.training.data import Examples
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.validation import DROP_NOTHING


def rename(folder: Path, names: dict[str, str]) -> None:
    """Rename people in a folder's index, and give its images names."""
    index = folder / "index.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["image"] = f"{number}.png"
        line["people"] = [names.get(name, name) for name in line["people"]]
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_two_folders_are_one_set(tmp_path: Path):
    a = make_prepared(tmp_path / "a", images=6)
    b = make_prepared(tmp_path / "b", images=8, seed=1)
    rename(a, {"person 0": "0.png#1"})  # without a name: made from that of the image
    rename(b, {"person 0": "0.png#1", "person 1": "someone else"})
    both, first, second = map(PreparedData, (f"{a}{os.pathsep}{b}", a, b))
    assert [len(data.images) for data in (both, first, second)] == [14, 6, 8]
    assert torch.equal(both.embeddings, torch.cat([first.embeddings, second.embeddings]))
    both.check_files()
    face = both.images[6].first_face
    assert torch.equal(both.crop(face), second.crop(0))
    # "person 2" and "person 3" are in both folders, the unnamed people are not the same.
    assert len(set(both.groups.tolist())) == 2 + 2 + 2
    named = [both.groups[first.images[2].first_face], both.groups[face + 2 * 2]]
    assert named[0] == named[1]
    examples = Examples(both, DROP_NOTHING, 0)
    assert torch.equal(examples[6, 3]["latents"].isnan().any(), torch.tensor(False))


def test_people_held_out_in_one_folder_are_trained_on_in_none(tmp_path: Path):
    a = make_prepared(tmp_path / "a", images=8)
    b = make_prepared(tmp_path / "b", images=8, seed=1)
    (b / "split.json").write_text(json.dumps({"evaluation": 2, "people": ["person 2"]}))
    with pytest.raises(ValueError, match="has 16 faces, expected 8"):
        PreparedData(b)  # its embeddings are those of all images
    rows = [0, 1, 6, 7, 8, 9, 14, 15]
    from safetensors.torch import load_file, save_file

    kept = load_file(b / "embeddings.safetensors")["embeddings"][rows].clone()
    save_file({"embeddings": kept}, b / "embeddings.safetensors")
    both = PreparedData(f"{a}{os.pathsep}{b}")
    assert len(both.images) == 4 + 4
    own = PreparedData(a).embeddings[rows]
    assert torch.equal(both.embeddings, torch.cat([own, kept]))


def test_folders_of_different_models_are_refused(tmp_path: Path):
    folders = [make_prepared(tmp_path / name) for name in "ab"]
    for folder, base in zip(folders, ("sdxl", "another"), strict=True):
        info = json.loads((folder / "info.json").read_text())
        info["settings"] = {"base": base, "face_model": "f"}
        (folder / "info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"was made with base 'another', and .* with 'sdxl'"):
        PreparedData(os.pathsep.join(map(str, folders)))
