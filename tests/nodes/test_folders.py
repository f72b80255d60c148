import pytest
import yaml


@pytest.fixture
def folders(comfy):
    return comfy.nodes.folders


def load_yaml(path, name, places):
    from utils.extra_config import load_extra_path_config

    path.write_text(yaml.safe_dump({"mine": {name: "\n".join(str(place) for place in places)}}))
    load_extra_path_config(str(path))


def test_models_live_in_comfyui_s_models_folder(folders):
    import folder_paths

    for folder, name in ((folders.ID_PATCH, "idpatch"), (folders.FACE_RECOGNITION, "facexlib")):
        assert folder.name == name
        assert f"{folder_paths.models_dir}/{name}" in folder_paths.get_folder_paths(name)


@pytest.mark.parametrize("name", ["paths_of_a_yaml_before", "paths_of_a_yaml_after"])
def test_extra_model_paths_are_searched_as_well(folders, tmp_path, name):
    import folder_paths

    folder = folders.ID_PATCH._replace(name=name)
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / f"{number}.bin").write_bytes(b"")
    steps = [
        lambda: load_yaml(tmp_path / "paths.yaml", name, [tmp_path / "1", tmp_path / "2"]),
        lambda: folders.register(folder),
    ]
    for step in steps if name.endswith("before") else reversed(steps):
        step()
    own = f"{folder_paths.models_dir}/{name}"
    assert set(folder_paths.get_folder_paths(name)) == {
        own,
        *map(str, map(tmp_path.joinpath, "12")),
    }
    assert folders.list_files(folder) == ["1.bin", "2.bin"]
    assert folders.find_file(folder, "model_name", "2.bin") == tmp_path / "2" / "2.bin"


def test_released_and_own_files_are_listed_and_others_are_not(folders, tmp_path):
    import folder_paths

    folder = folders.ID_PATCH._replace(name="listed_files")
    folders.register(folder)
    folder_paths.add_model_folder_path("listed_files", str(tmp_path))
    (tmp_path / "sub").mkdir()
    for name in ("id-patch.bin", "sub/own.safetensors", "README.md", "model.onnx"):
        (tmp_path / name).write_bytes(b"")
    assert folders.list_files(folder) == ["id-patch.bin", "sub/own.safetensors"]


def test_registering_leaves_a_set_of_extensions_that_others_share(folders):
    import folder_paths

    shared = {".pth"}
    folder_paths.folder_names_and_paths["shared_folder"] = (["/somewhere"], shared)
    folders.register(folders.ID_PATCH._replace(name="shared_folder"))
    assert shared == {".pth"}
    assert len(folder_paths.get_folder_paths("shared_folder")) == 2


def test_a_missing_file_says_what_to_fetch_and_where_to_put_it(folders):
    folder = folders.ID_PATCH._replace(name="empty_folder")
    folders.register(folder)
    assert folders.list_files(folder) == ["id-patch.bin"]
    message = (
        r"model_name: id-patch\.bin was not found in .*empty_folder\. Download id-patch\.bin from "
        r"https://huggingface\.co/ByteDance/ID-Patch, put it there and press R"
    )
    with pytest.raises(ValueError, match=message):
        folders.find_file(folder, "model_name", "id-patch.bin")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("\ud800.bin", r"\ud800.bin was not found in"),
        ("", "'' was not found in"),
        ({"a": 1}, "expected the name of a file, got an object with a. Download"),
        ([[1]], "expected the name of a file, got a list of 1. Download"),
    ],
)
def test_anything_but_the_name_of_a_file_is_told_so(folders, file, words):
    message = folders.missing_file(folders.ID_PATCH, file)
    assert message.encode().decode().startswith(words)
