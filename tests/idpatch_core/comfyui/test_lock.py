import subprocess
import sys
from pathlib import Path

from idpatch_core.comfyui.lock import locked

ROOT = Path(__file__).parents[3]


def test_a_second_run_waits_for_the_first(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from idpatch_core.comfyui.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('inside')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with locked(tmp_path):
        second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert second.stdout
        assert second.stdout.readline().startswith("Waiting for another run")
        assert second.poll() is None
    assert second.communicate(timeout=20)[0] == "inside\n"
