"""What runs inside ComfyUI uses only what every kind of device has; none but the CPU is tested.

MPS has no float64, and ROCm, DirectML and XPU are reached by ComfyUI's own device functions alone.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_IN_COMFYUI = ("idpatch_core/training/", "idpatch_core/demo_world/")
ALLOWED = {
    # The command that starts a ComfyUI tells it to do without a graphics card if there is none.
    "idpatch_core/demo/image.py": {"torch.cuda"},
}
FLOAT64 = ("torch.float64", "torch.double", "torch.DoubleTensor")


def product() -> list[Path]:
    paths = [*(ROOT / "nodes").rglob("*.py"), *(ROOT / "idpatch_core").rglob("*.py")]
    return sorted(p for p in paths if not p.relative_to(ROOT).as_posix().startswith(NOT_IN_COMFYUI))


def find_device_code(code: str) -> set[str]:
    """Return what some device lacks, and what chooses a device past ComfyUI."""
    tree, found, on_cpu = ast.parse(code), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("torch."):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if "device" not in given and "dtype" in given:
                on_cpu.add(given["dtype"])  # a new tensor, which is on the CPU
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if text in ("torch.cuda", "torch.mps", "torch.xpu", "torch.autocast", "torch.amp"):
            found.add(text)
        if text in FLOAT64 and node not in on_cpu:
            found.add("float64")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("cuda", "autocast", "pin_memory"):
                found.add(f".{node.func.attr}()")
            if node.func.attr == "double" and not ast.unparse(node.func.value).endswith(".cpu()"):
                found.add("float64")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = node.value.split(":")[0]
            if kind in ("cuda", "mps", "xpu", "float64"):
                found.add(f'"{kind}"')
    return found


@pytest.mark.parametrize("path", product(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_device_is_chosen_and_no_dtype_used_that_another_lacks(path: Path):
    name = path.relative_to(ROOT).as_posix()
    found = find_device_code(path.read_text(encoding="utf-8"))
    assert found == ALLOWED.get(name, set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x.cuda()", {".cuda()"}),
        ("torch.cuda.empty_cache()", {"torch.cuda"}),
        ("x.to('cuda:0')", {'"cuda"'}),
        ("with torch.autocast('cpu'): pass", {"torch.autocast", ".autocast()"}),
        ("x.double()", {"float64"}),
        ("x.to(torch.float64)", {"float64"}),
        ("torch.zeros(3, dtype=torch.float64, device=x.device)", {"float64"}),
        ("torch.zeros(3, dtype=torch.float64)", set()),
        ("x.detach().cpu().double()", set()),
        ("np.zeros(3, np.float64)", set()),
    ],
)
def test_the_search_finds(code: str, found: set[str]):
    assert find_device_code(code) == found
