import signal

import pytest

from idpatch_core.comfyui.environment import REPOSITORY
from idpatch_core.comfyui.server import make_base_directory, terminating_signals_raise


def test_a_base_directory_links_packs_and_models(tmp_path):
    model, pack = tmp_path / "model.bin", tmp_path / "other_pack"
    model.touch()
    pack.mkdir()
    base = make_base_directory(tmp_path / "base", {"idpatch/id-patch.bin": model}, [pack])
    assert (base / "models" / "idpatch" / "id-patch.bin").resolve() == model.resolve()
    nodes = base / "custom_nodes"
    assert sorted(path.name for path in nodes.iterdir()) == ["ComfyUI-ID-Patch", "other_pack"]
    assert (nodes / "ComfyUI-ID-Patch").resolve() == REPOSITORY


def test_a_terminating_signal_unwinds_the_stack_once():
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, terminating_signals_raise():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is handler
