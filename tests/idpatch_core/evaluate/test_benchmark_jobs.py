"""The cases of MultiID-Bench become jobs that `generate` reads and `evaluate` scores."""

import json
from pathlib import Path

from PIL import Image

from idpatch_core.evaluate.benchmark_jobs import fit_size, main
from idpatch_core.evaluate.cases import read_cases
from idpatch_core.generate.jobs import read_jobs


def write_index(folder: Path) -> Path:
    photos = folder / "p2" / "untar"
    photos.mkdir(parents=True)
    for name in ("0003", "0003_1", "0003_2"):
        Image.new("RGB", (200, 100)).save(photos / f"{name}.jpg")
    (photos / "0003.json").write_text('{"bboxes": [[0, 0, 20, 20], [60, 10, 80, 30]]}')
    entry = {"prompt": "two", "image_paths": ["0003_1.jpg", "0003_2.jpg"]}
    entries = [entry | {"ori_img_path": "0003.jpg"}, {"image_paths": 7, "ori_img_path": "b.jpg"}]
    (folder / "p2.json").write_text(json.dumps(entries))
    return folder / "p2.json"


def test_jobs_have_the_benchmarks_people_points_and_truth(tmp_path: Path, capsys):
    jobs_file = tmp_path / "jobs" / "jobs.jsonl"
    assert main([str(write_index(tmp_path)), str(jobs_file)]) == 0
    captured = capsys.readouterr()
    assert "1 of 2 cases" in captured.out and "left out: 1" in captured.err
    jobs, problems = read_jobs(jobs_file, {})
    assert not problems
    (case,) = (job.case for job in jobs)
    assert case.size == (1448, 728)
    assert [tuple(round(v / 7.24) for v in p.point or ()) for p in case.people] == [
        (10, 10),
        (70, 20),
    ]
    (row,) = (job.row for job in jobs)
    (case,) = read_cases(jobs_file)
    assert case.truth == tmp_path / "p2" / "untar" / "0003.jpg"
    assert row["people"][1]["references"] == [str(tmp_path / "p2" / "untar" / "0003_2.jpg")]


def test_sizes_keep_area_and_aspect():
    assert fit_size((1, 1), 1024**2) == (1024, 1024)
    width, height = fit_size((1920, 1080), 1024**2)
    assert abs(width * height / 1024**2 - 1) < 0.01 and abs(width / height / (16 / 9) - 1) < 0.01
    assert width % 8 == height % 8 == 0


def test_what_is_no_benchmark_is_an_error(tmp_path: Path, capsys):
    assert main([str(tmp_path / "none.json"), str(tmp_path / "jobs.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err
