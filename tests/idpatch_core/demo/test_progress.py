import io

from idpatch_core.comfyui.events import Event
from idpatch_core.demo.progress import ProgressBar

GRAPH = {str(i): {"class_type": "Node", "inputs": {}} for i in range(4)}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def events(bar: ProgressBar) -> None:
    bar(Event("cached", "0", "Loader"))
    bar(Event("executing", "1", "Encoder"))
    bar(Event("executing", "2", "Sampler"))
    for step in (1, 2):
        bar(Event("progress", "2", "Sampler", step, 2))


def test_without_a_terminal_each_node_is_a_line():
    output = io.StringIO()
    events(ProgressBar(GRAPH, output))
    assert output.getvalue().splitlines() == [" 25% Encoder", " 50% Sampler", " 75% Sampler 2/2"]


def test_on_a_terminal_one_line_is_drawn_again():
    output = Terminal()
    bar = ProgressBar(GRAPH, output)
    events(bar)
    drawn = [line.strip() for line in output.getvalue().split("\r")]
    assert drawn[1:] == [
        "[######..................]  25% Encoder",
        "[############............]  50% Sampler",
        "[###############.........]  62% Sampler 1/2",
        "[##################......]  75% Sampler 2/2",
    ]
    bar.close()
    assert output.getvalue().endswith("\n")
    assert "[########################] 100% done in" in output.getvalue()
