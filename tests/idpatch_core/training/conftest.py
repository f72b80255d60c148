"""Tiny networks and images to train with, made once."""

import pytest
from accelerate.state import AcceleratorState
from training_world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_world(tmp_path_factory.mktemp("training"))


@pytest.fixture(autouse=True)
def forget_accelerator() -> None:
    """Let each run choose its precision, as each does in a process of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)
