import pytest
from job_lines import read, row

from idpatch_core.comfyui import errors
from idpatch_core.comfyui.errors import NodeError, RequestRefused, Unreachable
from idpatch_core.comfyui.events import Event
from idpatch_core.comfyui.server import ServerError
from idpatch_core.generate.attempt import Attempt, attempt_job, find_fault, probe_server

OUT_OF_MEMORY = NodeError("1", "Sampler", "Allocation", exception_type="torch.OutOfMemoryError")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (NodeError("1", "Face Encoder", "no face was found"), "job"),
        (errors.Interrupted("The prompt was deleted from the queue."), "job"),
        (errors.ComfyError("The workflow saved no image"), "job"),
        (ValueError("ada.jpg changed during this run"), "job"),
        (FileNotFoundError("ada.jpg"), "job"),
        *((RequestRefused("", status), "job") for status in (400, 401, 403, 404, 413)),
        *((RequestRefused("", status), "request") for status in (429, 500)),
        *((RequestRefused("", status), "server") for status in (502, 503, 504)),
        (OUT_OF_MEMORY, "run"),
        (errors.PromptLost("restarted"), "run"),
        (Unreachable("refused"), "server"),
        (ServerError("it ended with code 1"), "server"),
    ],
)
def test_whose_fault_an_error_is(error, fault):
    assert find_fault(error) == fault


class FailingWorker:
    def __init__(self, error, *events):
        self.error, self.events = error, events

    def run_job(self, job, sent_before, on_event):
        for event in self.events:
            on_event(event)
        raise self.error

    def probe(self):
        raise self.error


@pytest.mark.parametrize("events", [(), (Event("executing", "1", "Load"),)])
def test_an_error_is_returned_with_whether_the_job_had_begun(folder, events):
    ((job,), _) = read(folder, row("a"))
    seen = []
    worker = FailingWorker(Unreachable("refused"), *events)
    attempt = attempt_job(worker, job, False, lambda job, event: seen.append(event))
    assert attempt == Attempt(None, "refused", "server", started=bool(events))
    assert seen == list(events)


def test_an_unforeseen_error_names_its_kind(folder):
    ((job,), _) = read(folder, row("a"))
    attempt = attempt_job(FailingWorker(KeyError("x")), job, False, lambda *_: None)
    assert (attempt.error, attempt.fault) == ("KeyError('x')", "job")
    assert probe_server(FailingWorker(KeyError("x"))).fault == "server"
