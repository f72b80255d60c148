"""Trains on the CPU under FSDP or DeepSpeed, which accelerate itself only allows on GPUs.

torchrun --standalone --nproc_per_node=2 tests/support/carried_training.py CONFIG

accelerate reads the settings of its config file from the environment: `FSDP` and `DEEPSPEED`. Only
its choice of a device is replaced; the processes communicate through gloo.
"""

import sys
from typing import Any

import torch

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "BasicTransformerBlock",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
}
DEEPSPEED = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2",
    "DS_ACCELERATOR": "cpu",
}


def allow_cpu() -> None:
    from accelerate import state
    from accelerate.utils import DistributedType

    def prepare_backend(*_: Any, **__: Any) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    def set_device(self: Any) -> None:
        self.device = torch.device("cpu")

    state.PartialState._prepare_backend = prepare_backend
    state.PartialState.set_device = set_device


if __name__ == "__main__":
    allow_cpu()
    from idpatch_core.training.__main__ import main

    sys.exit(main())
