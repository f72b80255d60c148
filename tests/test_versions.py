"""The README's statement of tested versions is that of tests/versions.json."""

import sys
from pathlib import Path

import pytest

from tests import versions


def test_the_readme_states_the_results():
    assert versions.README.read_text(encoding="utf-8") == versions.update_readme()


def test_the_oldest_version_that_is_required_is_tested():
    results = versions.read_results()
    (required,) = [
        line.split('">=')[1].rstrip('"')
        for line in (versions.ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("requires-comfyui")
    ]
    assert results[0]["comfyui"] == required
    for result in results:
        nodes = [run["dynamic_vram"] for run in result["runs"] if run["tier"] == "nodes"]
        assert nodes == [False, True]
        assert [run["failed"] for run in result["runs"] if run["failed"]] == []


def result(comfyui: str, *tiers: str, torch: str = "2.0", passed: int = 1) -> dict:
    runs = [
        {"tier": tier, "dynamic_vram": False, "passed": passed, "skipped": 0, "failed": []}
        for tier in tiers
    ]
    versions_of = {"frontend": "1.2", "python": "3.11", "torch": torch, "system": "Linux"}
    return {"comfyui": comfyui, **versions_of, "runs": runs}


def test_a_run_replaces_that_of_its_tier_and_dynamic_vram():
    before = [result("0.3.75", "nodes"), result("0.33.0", "nodes", "live")]
    newer = versions.merge(before, result("0.33.0", "nodes", passed=2))
    assert newer[0] == before[0]
    assert [(run["tier"], run["passed"]) for run in newer[1]["runs"]] == [("nodes", 2), ("live", 1)]
    with_vram = result("0.33.0", "live", passed=3)
    with_vram["runs"][0]["dynamic_vram"] = True
    both = versions.merge(before, with_vram)[1]["runs"]
    assert [(run["tier"], run["passed"]) for run in both] == [
        ("nodes", 1),
        ("live", 1),
        ("live", 3),
    ]
    changed = versions.merge(before, result("0.33.0", "nodes", torch="2.1"))
    assert [run["tier"] for run in changed[1]["runs"]] == ["nodes"]
    oldest = versions.merge(before, result("0.3.9", "core"))
    assert [one["comfyui"] for one in oldest] == ["0.3.9", "0.3.75", "0.33.0"]


def test_each_result_is_written_when_its_run_ends(monkeypatch, tmp_path: Path):
    """The second tier's test reads what the first one's run has written."""
    monkeypatch.setattr(versions, "RESULTS", tmp_path / "versions.json")
    monkeypatch.setattr(versions, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(versions.START + versions.END)
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.33.0"')
    (tmp_path / "test_core.py").write_text("def test_it(): pass")
    (tmp_path / "test_nodes.py").write_text(
        "import json, pathlib\n"
        "def test_it():\n"
        "    text = pathlib.Path(__file__).with_name('versions.json').read_text()\n"
        "    assert [run['tier'] for run in json.loads(text)[0]['runs']] == ['core']\n"
        "    readme = pathlib.Path(__file__).with_name('README.md').read_text()\n"
        "    assert 'core 1 of 1' in readme\n"
    )
    tiers = {name: [str(tmp_path / f"test_{name}.py")] for name in ("core", "nodes")}
    monkeypatch.setattr(versions, "TIERS", tiers)
    arguments = [str(tmp_path), "--python", sys.executable, "--dynamic-vram", "off"]
    assert versions.main([*arguments, "--tiers", "core", "nodes"]) == 0
    assert "core 1 of 1; nodes 1 of 1" in (tmp_path / "README.md").read_text()


def test_the_table_counts_what_passed():
    row = result("0.33.0", "nodes", passed=7)
    row["runs"].append(
        {"tier": "live", "dynamic_vram": True, "passed": 4, "skipped": 1, "failed": ["a", "b"]}
    )
    *_, line = versions.make_table([row]).splitlines()
    assert line == ("| 0.33.0 | 1.2 | 3.11 | 2.0 | nodes 7 of 7; live with dynamic VRAM 4 of 6 |")


def test_a_report_names_what_failed(tmp_path: Path):
    (tmp_path / "report.xml").write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.a" name="one"/>'
        '<testcase classname="tests.a" name="two"><failure/></testcase>'
        '<testcase classname="tests.a" name="three"><error/></testcase>'
        '<testcase classname="tests.a" name="four"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    expected = {"passed": 1, "skipped": 1, "failed": ["tests.a.two", "tests.a.three"]}
    assert versions.read_report(tmp_path / "report.xml") == expected


@pytest.mark.parametrize("arguments", [[], ["comfyui", "--readme"], ["comfyui", "--tiers", "no"]])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(SystemExit):
        versions.parse(arguments)
