from collections import Counter
from itertools import pairwise

import pytest
from job_lines import read, row

from idpatch_core.comfyui.errors import ComfyError
from idpatch_core.generate.attempt import Attempt
from idpatch_core.generate.dispatch import (
    IN_FLIGHT,
    MAX_LOSSES,
    MAX_TRIES,
    Callbacks,
    Dispatcher,
    Report,
    delay_of,
)
from idpatch_core.generate.ledger import Ledger
from idpatch_core.generate.worker import JobImages

MADE = Attempt(JobImages([b"png"], 1.0))
GONE, GONE_RUNNING = Attempt(None, "gone", "server"), Attempt(None, "gone", "server", True)
FAULT, BUSY = Attempt(None, "no face", "job"), Attempt(None, "500", "request")
OUT_OF_MEMORY = Attempt(None, "out of memory", "run", started=True)
RESTARTED, RESTARTED_RUNNING = Attempt(None, "gone", "run"), Attempt(None, "gone", "run", True)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class FakeLanes:
    """Servers that answer by a function of (server, id, time); each job takes a second."""

    def __init__(self, servers, answer, is_up, clock):
        self.servers = servers
        self.sent, self.probed = [], []  # (server, id, sent before), (server, time)
        self.most = Counter()
        self._answer, self._is_up, self._clock = answer, is_up, clock
        self._running = {server: [] for server in servers}
        self._probes = []

    def submit(self, server, job, sent_before):
        self.sent.append((server, job.case.id, sent_before))
        self._running[server].append(job)
        self.most[server] = max(self.most[server], len(self._running[server]))

    def probe(self, server):
        self.probed.append((server, self._clock.now))
        self._probes.append(server)

    def wait(self, seconds):
        probes, self._probes = self._probes, []
        reports = [
            Report(server, None, Attempt(None) if self._is_up(server, self._clock.now) else GONE)
            for server in probes
        ]
        if any(self._running.values()):
            self._clock.now += 1
        else:
            self._clock.now += seconds if not probes else 0.01
        for server, jobs in self._running.items():
            if jobs:
                job = jobs.pop(0)
                reports.append(Report(server, job, self._answer(server, job.case.id)))
        return reports


class World:
    def __init__(self, folder, count, servers=("one",), answer=lambda server, id: MADE):
        self.jobs, _ = read(folder, *(row(str(number)) for number in range(count)))
        self.ledger, self.clock = Ledger(folder / "out"), Clock()
        self.lanes = FakeLanes(list(servers), answer, self.is_up, self.clock)
        self.down, self.done, self.failed, self.notices = {}, [], {}, []

    def is_up(self, server, now):
        return now >= self.down.get(server, 0)

    def run(self, patience=60.0):
        callbacks = Callbacks(
            lambda job, images: self.done.append(job.case.id),
            lambda job, error: self.failed.update({job.case.id: error}),
            self.notices.append,
        )
        Dispatcher(self.lanes, self.jobs, self.ledger, callbacks, patience, self.clock).run()
        return self

    def sent(self, id):
        return [server for server, sent, _ in self.lanes.sent if sent == id]


def scripted(*attempts):
    """Answer with these attempts, then with images, for each job that is in trouble: "0"."""
    left = list(attempts)
    return lambda server, id: left.pop(0) if left and id == "0" else MADE


def test_every_job_is_done_once_on_servers_that_never_idle(folder):
    world = World(folder, 20, ["one", "two"]).run()
    assert sorted(world.done, key=int) == [str(number) for number in range(20)]
    assert Counter(id for _, id, _ in world.lanes.sent) == Counter(world.done)
    assert world.lanes.most == {"one": IN_FLIGHT, "two": IN_FLIGHT}
    assert world.clock.now == 10
    assert [server for server, _, _ in world.lanes.sent[:4]] == ["one", "two", "one", "two"]


def test_a_job_goes_to_the_server_that_it_was_sent_to_before(folder):
    world = World(folder, 6, ["one", "two"])
    world.ledger.record_sent(world.jobs[5], "two")
    world.run()
    assert ("two", "5", True) in world.lanes.sent
    assert all(not before for _, id, before in world.lanes.sent if id != "5")


@pytest.mark.parametrize("count", [1, 30])
def test_a_fault_of_a_job_is_no_fault_of_its_server(folder, count):
    bad = {str(number) for number in range(0, count, 3)}
    world = World(folder, count, answer=lambda server, id: FAULT if id in bad else MADE).run()
    assert world.failed == dict.fromkeys(bad, "no face")
    assert len(world.done) == count - len(bad)
    assert world.notices == [] and len(world.lanes.sent) == count


@pytest.mark.parametrize("attempt", [OUT_OF_MEMORY, BUSY])
def test_a_failure_by_chance_is_tried_again_after_a_pause(folder, attempt):
    world = World(folder, 1, answer=scripted(attempt, attempt)).run()
    assert world.done == ["0"] and world.notices == []
    assert world.clock.now >= 3 + delay_of(1) + delay_of(2)


@pytest.mark.parametrize("attempt", [OUT_OF_MEMORY, BUSY])
def test_a_job_that_always_fails_is_given_up_and_the_others_are_made(folder, attempt):
    world = World(folder, 40, ["one", "two"], answer=scripted(*[attempt] * 99)).run()
    assert world.failed == {"0": f"{attempt.error} (tried {MAX_TRIES} times)"}
    assert len(world.done) == 39 and world.notices == []


@pytest.mark.parametrize(
    ("attempt", "servers"),
    [(BUSY, ["two", "two"]), (GONE, ["two", "two"]), (OUT_OF_MEMORY, ["two", "one"])],
)
def test_a_server_that_may_have_the_images_is_asked_for_them(folder, attempt, servers):
    world = World(folder, 1, ["one", "two"], answer=scripted(attempt))
    world.ledger.record_sent(world.jobs[0], "two")
    assert world.run().sent("0") == servers
    assert world.lanes.sent[1][2] == (servers[1] == "two"), "sent before"


def test_a_server_that_comes_back_is_used_again(folder):
    attempts = iter([MADE] * 4 + [GONE, GONE] + [MADE] * 99)
    world = World(folder, 12, answer=lambda server, id: next(attempts))
    world.down["one"] = 25.0
    world.run()
    assert len(world.done) == 12 and world.failed == {}
    assert world.notices == ["one does not answer, trying again: gone", "one answers again."]
    times = [time for _, time in world.lanes.probed]
    pauses = [b - a for a, b in pairwise(times)]
    assert pauses[:4] == pytest.approx([1, 2, 4, 8], abs=1.1), "the pauses between probes grow"


def test_others_take_the_jobs_of_a_server_that_is_away(folder):
    world = World(
        folder, 10, ["one", "two"], answer=lambda server, id: GONE if server == "one" else MADE
    )
    world.down["one"] = 1e9
    for job in world.jobs:
        world.ledger.record_sent(job, "one")
    world.run()
    assert sorted(world.done, key=int) == [str(number) for number in range(10)]
    assert world.notices == ["one does not answer, trying again: gone"]


@pytest.mark.parametrize(
    ("running", "waiting"), [(GONE_RUNNING, GONE), (RESTARTED_RUNNING, RESTARTED)]
)
def test_a_job_that_ends_its_server_is_given_up_and_its_companion_is_not(folder, running, waiting):
    world = World(folder, 6)

    def answer(server, id):
        if id == "0":
            return running
        return waiting if len(world.sent(id)) < 5 else MADE  # it waited behind the other

    world.lanes._answer = answer
    world.run()
    assert world.failed == {"0": f"gone (tried {MAX_TRIES} times)"}
    assert len(world.done) == 5


def test_a_job_whose_upload_always_breaks_the_connection_ends(folder):
    world = World(folder, 3, answer=lambda server, id: GONE if id == "0" else MADE).run()
    assert world.failed == {"0": f"gone (tried {MAX_LOSSES} times)"}
    assert sorted(world.done) == ["1", "2"]


def test_without_any_server_the_run_ends_after_its_patience(folder):
    world = World(folder, 5, ["one", "two"], answer=lambda server, id: GONE)
    world.down = {"one": 1e9, "two": 1e9}
    with pytest.raises(
        ComfyError, match=r"No server answers any more; 5 photos are not made.*gone"
    ):
        world.run(patience=20.0)
    assert 20 < world.clock.now < 60
    assert world.done == []


def test_pauses_grow_up_to_half_a_minute():
    assert [delay_of(number) for number in (1, 2, 3, 9)] == [1, 2, 4, 30]
