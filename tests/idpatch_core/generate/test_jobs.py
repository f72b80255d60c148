import numpy as np
from job_lines import read, row

from idpatch_core.generate.jobs import draw_pose


def test_a_job_has_the_same_key_until_something_changes(folder):
    ((job,), _) = read(folder, row("a"))
    assert read(folder, row("a"))[0][0].key == job.key
    keys = {job.key}
    keys.add(read(folder, row("b"))[0][0].key)
    keys.add(read(folder, row("a", seed=2))[0][0].key)
    keys.add(read(folder, row("a"), template={"1": {"class_type": "x", "inputs": {}}})[0][0].key)
    (folder / "ada.jpg").write_bytes(b"another face")
    keys.add(read(folder, row("a"))[0][0].key)
    assert len(keys) == 5


def test_what_cannot_be_made_is_named(folder):
    missing = row("b") | {"people": [{"references": "gone.jpg"}]}
    jobs, problems = read(folder, row("a"), missing, "{torn", row("a"))
    assert [job.case.id for job in jobs] == ["a"]
    assert [problem.split(":")[0] for problem in problems] == ["b", "photos.jsonl, line 3", "a"]
    assert "gone.jpg" in problems[0]


def test_people_stand_at_their_points_in_the_drawn_pose(folder):
    people = [{"references": "ada.jpg", "point": point} for point in ([50, 30], [150, 30])]
    ((job,), _) = read(folder, {"id": "a", "people": people, "width": 200, "height": 160})
    drawn = draw_pose(job.case, job.row, folder)
    assert drawn is not None
    assert drawn.shape == (160, 200, 3)
    for x in (50, 150):
        assert drawn[30, x].any()
    assert not np.any(drawn[:, 96:104])


def test_without_size_or_points_nothing_is_drawn(folder):
    ((job,), _) = read(folder, row("a", width=200, height=160))
    assert draw_pose(job.case, job.row, folder) is None
