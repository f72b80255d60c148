"""The command makes a whole world, in a minute."""

from pathlib import Path

import pytest

from idpatch_core.checkpoint import read_id_patch
from idpatch_core.demo_world import __main__ as demo_world

MINI = """
seed = 0
workers = 1
precision = "no"
[people]
scenes = [0, 40]
more = [40, 80]
conditioning = [0, 24]
scoring = [100, 124]
evaluation = [200, 220]
[images]
training = 24
more = 24
evaluation = 8
[detector]
steps = 2
batch = 2
[faces]
each = 3
steps = 3
batch = 8
conditioning = [[8, 8], [8, 16], [16, 16], [16, 16]]
scoring = [[8, 8], [8, 16], [16, 16], [16, 16]]
[vae]
channels = 8
steps = 2
batch = 2
[base]
steps = 2
batch = 4
"""
LARGE = """
[canvas]
width = 128
height = 64
shares = [0.5, 0.5]
[large_canvas]
width = 192
height = 96
shares = [0.2, 0.2, 0.2, 0.4]
two_rows = [0, 0, 0, 0.5]
described = 0.5
"""
CHANGES = ["run.steps=2", "data.batch_size=2", "sampling.every=2", "sampling.images=4"]


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_the_whole_world_is_made_and_exported(tmp_path: Path, large: bool):
    text = MINI
    if large:
        text = 'recipes = "eight_people"\n' + MINI + "large_share = 0.5\n" + LARGE
        text = text.replace("[detector]", "[detector]\nscales = [1, 2]")
    (tmp_path / "mini.toml").write_text(text)
    command = [str(tmp_path / "world"), "--world", str(tmp_path / "mini.toml"), "--set", *CHANGES]
    assert demo_world.main([*command, "sampling.steps=2"]) == 0
    for stage in ("stage1", "stage2", "stage3"):
        patch, prompt, _ = read_id_patch(tmp_path / "world" / stage / "export/id-patch.safetensors")
        assert patch["norm.weight"].shape == (24 * 24,)
        assert prompt["norm.weight"].shape == (192,)
    assert (tmp_path / "world/stage3/export/unet/config.json").is_file()
