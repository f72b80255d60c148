"""What ID-Patch costs: time a step and peak memory against the same ControlNet sampling without it.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/sampling.py [--full-size]

The plain run has the same ControlNet, a picture as its hint and text tokens alone. All runs take
turns in one process, so that the ratios are measured side by side; every figure is the median of
the rounds. By default the tiny networks of the tests run on the CPU; `--full-size` makes SDXL's
UNet and ControlNet with random bfloat16 weights on the CUDA device and samples at 1024x1024.
"""

import argparse
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TFLOP = 9.8  # of SDXL's UNet and ControlNet, a sample and step at 1024x1024


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full-size", action="store_true", help="SDXL's own size, on CUDA")
    parser.add_argument("--device", help="cuda or cpu; default: cuda for --full-size, else cpu")
    parser.add_argument("--size", type=int, help="side of the picture; default 1024 or 256")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peak-tflops", type=float, help="the card's bfloat16 limit by its data sheet"
    )
    return parser.parse_args()


def start_comfyui(device: str) -> Any:
    """Put ComfyUI and the tests' helpers on the path and return the pack."""
    sys.path[:0] = [os.environ["COMFYUI_PATH"], str(HERE.parent / "support")]
    sys.argv = ["main.py", *(["--cpu"] if device == "cpu" else [])]
    import comfy.options

    comfy.options.enable_args_parsing()
    from pack import load_pack

    return load_pack()


def full_size(device: str) -> tuple[Any, Any]:
    """Make SDXL's UNet and ControlNet on the device, with random bfloat16 weights."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.model_patcher
    import comfy.ops
    import comfy.supported_models
    import torch

    config = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "context_dim": 2048,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
        "use_spatial_transformer": True,
        "use_temporal_attention": False,
    }
    where = torch.device(device)
    sdxl = comfy.supported_models.SDXL({**config, "dtype": torch.bfloat16})
    sdxl.set_inference_dtype(torch.bfloat16, None)
    model = sdxl.get_model({}, "", device=where)
    unused = ("out_channels", "transformer_depth_output")
    control = comfy.cldm.cldm.ControlNet(
        **{k: v for k, v in config.items() if k not in unused},
        hint_channels=3,
        dtype=torch.bfloat16,
        device=where,
        operations=comfy.ops.disable_weight_init,
    )
    torch.manual_seed(0)
    for network in (model.diffusion_model, control):
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.02)
    return (
        comfy.model_patcher.ModelPatcher(model, where, where),
        comfy.controlnet.ControlNet(control, load_device=where),
    )


def reached_tflops(device: str) -> float:
    """Measure what the device reaches in a large bfloat16 matrix product."""
    import torch

    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    for _ in range(5):
        torch.mm(a, a)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(50):
        torch.mm(a, a)
    torch.cuda.synchronize()
    return 50 * 2 * 8192**3 / (time.perf_counter() - start) / 1e12


class PeakMemory:
    """Measures the highest memory use above the start: of the device, or of this process."""

    def __init__(self, device: str):
        self.device = device

    def __enter__(self) -> "PeakMemory":
        import psutil
        import torch

        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return self
        process = psutil.Process()
        self.start = self.peak = process.memory_info().rss
        self.running = True

        def watch() -> None:
            while self.running:
                self.peak = max(self.peak, process.memory_info().rss)
                time.sleep(0.001)

        self.watcher = threading.Thread(target=watch)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        if self.device == "cuda":
            self.mib = torch.cuda.max_memory_allocated() / 2**20
            return
        self.running = False
        self.watcher.join()
        self.mib = self.peak / 2**20


def main() -> None:
    arguments = parse_arguments()
    device = arguments.device or ("cuda" if arguments.full_size else "cpu")
    size = arguments.size or (1024 if arguments.full_size else 256)
    pack = start_comfyui(device)

    import comfy.sample
    import comfy.samplers
    import comfy.utils
    import torch
    from diffusers_reference import random_case
    from reference_models import tiny_control_net, tiny_model
    from sampling import node_inputs

    comfy.utils.PROGRESS_BAR_ENABLED = False
    if arguments.full_size:
        model, control_net = full_size(device)
    else:
        model, control_net = tiny_model(), tiny_control_net()

    def plain() -> None:
        case = random_case(people=1, height=size, width=size)
        inputs = node_inputs(pack, case)
        hint = inputs["id_hint"]._replace(image=case.base)
        both = pack.nodes.controlnet.apply_control_net(
            inputs["positive"], inputs["negative"], control_net, hint, 0.8, 0.0, 1.0
        )
        sigmas = pack.nodes.sampler.schedule(model, "euler", "normal", arguments.steps, 1.0)
        euler = comfy.samplers.sampler_object("euler")
        empty = torch.zeros_like(case.noise)
        comfy.sample.sample_custom(
            model, case.noise, 5.5, euler, sigmas, *both, empty, disable_pbar=True
        )

    def with_people(people: int) -> None:
        case = random_case(people=people, height=size, width=size)
        pack.nodes.sampler.IDPatchSampler.execute(
            model=model,
            control_net=control_net,
            **node_inputs(pack, case),
            seed=0,
            steps=arguments.steps,
            cfg=5.5,
            sampler_name="euler",
            scheduler="normal",
            injection_ratio=1.0,  # ID tokens in every step: the most that it can cost
            control_strength=0.8,
        )

    runs = {"no ID-Patch": plain}
    runs |= {
        f"{n} {'person' if n == 1 else 'people'}": lambda n=n: with_people(n)
        for n in arguments.people
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for round_number in range(arguments.rounds + 1):  # the first warms up
            for name, run in runs.items():
                print(
                    f"\rround {round_number}/{arguments.rounds}  {name:15}", end="", file=sys.stderr
                )
                with PeakMemory(device) as peak:
                    start = time.perf_counter()
                    run()
                    if device == "cuda":
                        torch.cuda.synchronize()
                    elapsed = time.perf_counter() - start
                if round_number > 0:
                    seconds[name].append(elapsed / arguments.steps)
                    memory[name].append(peak.mib)

    print(file=sys.stderr)
    what = "SDXL, bfloat16" if arguments.full_size else "tiny networks, float32"
    name = (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"{torch.get_num_threads()} CPU threads"
    )
    print(f"{what}, {size}x{size}, both branches in one batch, {name}, torch {torch.__version__}\n")
    limit = arguments.peak_tflops
    if limit is None and device == "cuda":
        limit = reached_tflops(device)
        print(
            f"arithmetic limit measured in a large bfloat16 matrix product: {limit:.0f} TFLOP/s\n"
        )
    share = " of the limit |" if limit and arguments.full_size else ""
    print("| run | ms a step | time, ratio | peak memory, MiB | memory, ratio |" + share)
    print("| --- | ---: | ---: | ---: | ---: |" + (" ---: |" if share else ""))
    plain_memory = statistics.median(memory["no ID-Patch"])
    for name in runs:
        # Ratios of each round, then their median: what slows the machine slows a whole round.
        ratio = statistics.median(
            ours / theirs
            for ours, theirs in zip(seconds[name], seconds["no ID-Patch"], strict=True)
        )
        step, peak = statistics.median(seconds[name]), statistics.median(memory[name])
        row = (
            f"| {name} | {step * 1000:.1f} | {ratio:.3f} | {peak:.0f} | {peak / plain_memory:.3f} |"
        )
        if share and limit:
            row += f" {2 * TFLOP * (size / 1024) ** 2 / step / limit:.0%} |"
        print(row)


if __name__ == "__main__":
    main()
