from pathlib import Path

import pytest

from idpatch_core.demo.__main__ import parse_demo_options


def test_without_options_it_is_the_demo_models():
    options = parse_demo_options([])
    assert options.checkpoint is None and options.portrait is None
    assert (options.seed, options.out) == (0, Path("id-patch.png"))


def test_real_models_need_all_four_files(tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(SystemExit):
        parse_demo_options(["--checkpoint", str(file), "--idpatch", str(file)])
    assert "also give --controlnet, --face-model" in capsys.readouterr().err


def test_real_models_need_photos(tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    file.touch()
    models = [f"--{name}={file}" for name in ("checkpoint", "controlnet", "idpatch", "face-model")]
    with pytest.raises(SystemExit):
        parse_demo_options(models)
    assert "give --portrait" in capsys.readouterr().err
    assert parse_demo_options([*models, f"--portrait={file}"]).portrait == [file]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--portrait", "gone.jpg"], "no such file: gone.jpg"),
        (["--width", "100"], "expected a multiple of 8, at least 64; got 100"),
        (["--height", "big"], "expected a multiple of 8, at least 64; got big"),
    ],
)
def test_wrong_options_are_explained(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse_demo_options(arguments)
    assert message in capsys.readouterr().err
