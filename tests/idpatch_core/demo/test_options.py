from pathlib import Path

import pytest

from idpatch_core.demo.__main__ import parse_arguments


def test_without_options_it_is_the_demo_models():
    options = parse_arguments([])
    assert options.checkpoint is None and options.portrait is None
    assert (options.seed, options.out) == (0, Path("id-patch.png"))


def test_real_models_come_all_four_or_none(tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(SystemExit):
        parse_arguments(["--checkpoint", str(file), "--idpatch", str(file)])
    assert "also give --controlnet, --face-model" in capsys.readouterr().err


def test_real_models_need_photographs(tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    file.touch()
    models = [f"--{name}={file}" for name in ("checkpoint", "controlnet", "idpatch", "face-model")]
    with pytest.raises(SystemExit):
        parse_arguments(models)
    assert "give --portrait" in capsys.readouterr().err
    assert parse_arguments([*models, f"--portrait={file}"]).portrait == [file]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--portrait", "gone.jpg"], "there is no file gone.jpg"),
        (["--width", "100"], "expected a multiple of 8 from 64, got 100"),
        (["--height", "big"], "invalid side value: 'big'"),
    ],
)
def test_wrong_options_are_explained(arguments, said, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    assert said in capsys.readouterr().err
