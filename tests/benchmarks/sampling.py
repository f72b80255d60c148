"""Measures time per step and peak memory of sampling with ID-Patch, against the same without it.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/sampling.py [--full-size]

The plain run has the same ControlNet, an image as its hint and only text tokens. All runs take
turns in one process, so that the ratios are measured side by side; every figure is the median of
the rounds. By default the tiny networks of the tests run on the CPU; `--full-size` makes SDXL's
UNet and ControlNet with random bfloat16 weights on the CUDA device and samples at 1024x1024.
"""

import argparse
import functools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLAIN = "no ID-Patch"  # name of the run without it
Run = Callable[[], None]
TFLOP = 9.8  # SDXL's UNet and ControlNet, one sample and step at 1024x1024


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full-size", action="store_true", help="SDXL's own size, on CUDA")
    parser.add_argument("--device", help="cuda or cpu; default: cuda for --full-size, else cpu")
    parser.add_argument("--size", type=int, help="side of the image; default 1024 or 256")
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


def make_full_size(device: str) -> tuple[Any, Any]:
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
    target = torch.device(device)
    sdxl = comfy.supported_models.SDXL({**config, "dtype": torch.bfloat16})
    sdxl.set_inference_dtype(torch.bfloat16, None)
    model = sdxl.get_model({}, "", device=target)
    unused = ("out_channels", "transformer_depth_output")
    control = comfy.cldm.cldm.ControlNet(
        **{k: v for k, v in config.items() if k not in unused},
        hint_channels=3,
        dtype=torch.bfloat16,
        device=target,
        operations=comfy.ops.disable_weight_init,
    )
    torch.manual_seed(0)
    for network in (model.diffusion_model, control):
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.02)
    return (
        comfy.model_patcher.ModelPatcher(model, target, target),
        comfy.controlnet.ControlNet(control, load_device=target),
    )


def measure_tflops(device: str) -> float:
    """Return the speed of the device in a large bfloat16 matrix product."""
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

        def sample_memory() -> None:
            while self.running:
                self.peak = max(self.peak, process.memory_info().rss)
                time.sleep(0.001)

        self.sampler = threading.Thread(target=sample_memory)
        self.sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        if self.device == "cuda":
            self.mib = torch.cuda.max_memory_allocated() / 2**20
            return
        self.running = False
        self.sampler.join()
        self.mib = self.peak / 2**20


def make_runs(arguments: argparse.Namespace, device: str, size: int) -> dict[str, Run]:
    """Return the plain run and one for each number of people."""
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
        model, control_net = make_full_size(device)
    else:
        model, control_net = tiny_model(), tiny_control_net()

    def sample_plain() -> None:
        case = random_case(people=1, height=size, width=size)
        inputs = node_inputs(pack, case)
        hint = inputs["id_hint"]._replace(image=case.base)
        both = pack.nodes.controlnet.apply_control_net(
            inputs["positive"], inputs["negative"], control_net, hint, 0.8, 0.0, 1.0
        )
        sigmas = pack.nodes.sigmas.compute_sigmas(model, "euler", "normal", arguments.steps, 1.0)
        euler = comfy.samplers.sampler_object("euler")
        empty = torch.zeros_like(case.noise)
        comfy.sample.sample_custom(
            model, case.noise, 5.5, euler, sigmas, *both, empty, disable_pbar=True
        )

    def sample_people(people: int) -> None:
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
            injection_ratio=1.0,  # ID tokens in every step: the highest cost
            control_strength=0.8,
        )

    runs = {PLAIN: sample_plain}
    for people in arguments.people:
        name = f"{people} {'person' if people == 1 else 'people'}"
        runs[name] = functools.partial(sample_people, people)
    return runs


def measure_runs(
    runs: dict[str, Run], rounds: int, steps: int, device: str
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return seconds per step and peak memory in MiB of each run, one value for each round."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for round_number in range(rounds + 1):  # the first warms up
            for name, run in runs.items():
                progress = f"round {round_number}/{rounds}  {name:15}"
                print(f"\r{progress}", end="", file=sys.stderr)
                with PeakMemory(device) as peak:
                    start = time.perf_counter()
                    run()
                    if device == "cuda":
                        torch.cuda.synchronize()
                    elapsed = time.perf_counter() - start
                if round_number > 0:
                    seconds[name].append(elapsed / steps)
                    memory[name].append(peak.mib)
    print(file=sys.stderr)
    return seconds, memory


def print_table(
    seconds: dict[str, list[float]], memory: dict[str, list[float]], step_tflop: float, limit: float
) -> None:
    """Print a Markdown table; with a `limit` in TFLOP/s also the share of it that is reached."""
    share = " of the limit |" if limit else ""
    print("| run | ms per step | time, ratio | peak memory, MiB | memory, ratio |" + share)
    print("| --- | ---: | ---: | ---: | ---: |" + (" ---: |" if share else ""))
    plain_memory = statistics.median(memory[PLAIN])
    for name in seconds:
        # The median of each round's ratio: a slow moment of the machine slows a whole round.
        ratios = (own / plain for own, plain in zip(seconds[name], seconds[PLAIN], strict=True))
        ratio = statistics.median(ratios)
        step, peak = statistics.median(seconds[name]), statistics.median(memory[name])
        row = (
            f"| {name} | {step * 1000:.1f} | {ratio:.3f} | {peak:.0f} | {peak / plain_memory:.3f} |"
        )
        if limit:
            row += f" {step_tflop / step / limit:.0%} |"
        print(row)


def main() -> None:
    arguments = parse_arguments()
    device = arguments.device or ("cuda" if arguments.full_size else "cpu")
    size = arguments.size or (1024 if arguments.full_size else 256)
    runs = make_runs(arguments, device, size)
    seconds, memory = measure_runs(runs, arguments.rounds, arguments.steps, device)

    import torch

    networks = "SDXL, bfloat16" if arguments.full_size else "tiny networks, float32"
    hardware = f"{torch.get_num_threads()} CPU threads"
    limit = arguments.peak_tflops
    if device == "cuda":
        hardware = torch.cuda.get_device_name()
        limit = limit or measure_tflops(device)
    print(f"{networks}, {size}x{size}, both branches in one batch, {hardware}, ", end="")
    print(f"torch {torch.__version__}\n")
    if device == "cuda" and arguments.peak_tflops is None:
        print(f"measured limit of a large bfloat16 matrix product: {limit:.0f} TFLOP/s\n")
    step_tflop = 2 * TFLOP * (size / 1024) ** 2
    print_table(seconds, memory, step_tflop, limit if limit and arguments.full_size else 0)


if __name__ == "__main__":
    main()
