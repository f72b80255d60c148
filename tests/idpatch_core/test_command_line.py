import pytest

from idpatch_core.command_line import report_errors


@pytest.mark.parametrize("kind", [ValueError, ImportError])
def test_an_error_of_the_input_is_one_line(kind, capsys):
    @report_errors
    def command(arguments):
        raise kind(f"{arguments[0]} is no folder")

    assert command(["here"]) == 1
    assert capsys.readouterr().err == "error: here is no folder\n"


def test_other_errors_and_results_pass():
    @report_errors
    def command(arguments):
        return len(arguments)

    assert command(["a", "b"]) == 2
    with pytest.raises(TypeError):
        command(None)
