"""Many prompts through one live server: what ends otherwise than it must, and the memory's slope.

    COMFYUI_PATH=/path/to/ComfyUI python tests/benchmarks/soak.py RESULT.json \\
        [--prompts 1000] [--seed 0] [--core] [--kinds image free] [--warm-up 200]

Images of one step, Face Encoders alone, refused, failing, cancelled and deleted prompts, and images
after the models were dropped, at random (`tests/support/soaker.py`). Every 50 prompts the history
is compared with what was queued and deleted, and the server's resident memory is noted, on Linux
without mapped files, which the system drops when it is short of memory. Its slope is Theil and
Sen's over the readings after `--warm-up` prompts, with the 95 % interval. Then a fresh server,
which caches nothing, makes each of the results once more, in another order. With `--core` the
prompts have ComfyUI's own nodes alone (`tests/support/core_soaker.py`), to compare with. The
results that are kept are in the list `runs` of results/soak.json.
"""

import argparse
import json
import os
import sys
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]


def fit_slope(readings: list[tuple[int, float]], warm_up: int) -> tuple[float, float, float] | None:
    """Return the slope in kB a prompt and its 95 % interval; None for fewer than 5 readings.

    `readings` are numbers of prompts and kB; those of the first `warm_up` prompts are left out.
    """
    from scipy.stats import theilslopes

    kept = [reading for reading in readings if reading[0] > warm_up]
    if len(kept) < 5:
        return None
    prompts, memory = zip(*kept, strict=True)
    slope, _, low, high = theilslopes(memory, prompts, 0.95)
    return float(slope), float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("result", type=Path, help="the JSON file to write")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--core", action="store_true")
    parser.add_argument("--kinds", nargs="+", help="of the prompts; else all of soaker.KINDS")
    parser.add_argument("--warm-up", type=int, default=200)
    options = parser.parse_args()
    import psutil
    import standins
    from core_soaker import CoreSoaker
    from soaker import Soaker

    from idpatch_core.comfyui.client import ComfyClient
    from idpatch_core.comfyui.environment import Environment
    from idpatch_core.comfyui.server import comfyui_server
    from tests.benchmarks.machine import describe_machine

    comfyui, readings, begin = Path(os.environ["COMFYUI_PATH"]), [], time.monotonic()
    machine = describe_machine()
    kind, more = Soaker, {}
    if options.core:
        models = standins.standin_models(Environment(Path(sys.executable), comfyui))
        kind, more = CoreSoaker, {"models": models, "packs": [standins.PACK]}
    with (
        comfyui_server(sys.executable, comfyui, **more) as server,
        ComfyClient(server.url) as client,
    ):
        process = psutil.Process(server.process_id)
        soaker = kind(client, server.base / "output", options.seed)
        if options.kinds:
            soaker.kinds = {name: soaker.kinds[name] for name in options.kinds}

        def read_memory(prompts: int) -> None:
            info = process.memory_info()
            memory = (info.rss - getattr(info, "shared", 0)) / 1000
            readings.append((prompts, memory))
            seconds, problems = time.monotonic() - begin, len(soaker.done.problems)
            print(f"{prompts:6} {memory:12.0f} kB {seconds:8.0f} s {problems} problems", flush=True)
            write(None)

        def write(alone: int | None) -> None:
            done = soaker.done
            result = {
                "prompts": done.counts.total(),
                "seed": options.seed,
                "core_nodes_alone": options.core,
                "kinds": done.counts,
                "problems": done.problems,
                "results": len(done.made),
                "made_again": done.repeated.total() - len(done.made),
                "equal_in_a_fresh_server": alone,
                "memory_kb": readings,
                "warm_up": options.warm_up,
                "slope_kb_a_prompt": fit_slope(readings, options.warm_up),
            }
            document = {"command": f"soak.py {' '.join(sys.argv[1:])}", "machine": machine}
            document |= {"date": date.today().isoformat(), "result": result}
            options.result.write_text(json.dumps(document, indent=1) + "\n")

        soaker.run(options.prompts, read_memory)
    with (
        comfyui_server(sys.executable, comfyui, arguments=["--cache-none"], **more) as server,
        ComfyClient(server.url) as client,
    ):
        fresh = kind(client, server.base / "output", options.seed)
        for key in sorted(soaker.done.made, reverse=True):
            fresh.make_again(key)
        alone = sum(fresh.done.made[key] == made for key, made in soaker.done.made.items())
    write(alone)
    print(f"{alone} of {len(soaker.done.made)} results are equal in a fresh server")
    if slope := fit_slope(readings, options.warm_up):
        print("{:.2f} kB a prompt [{:.2f}, {:.2f}]".format(*slope))
    differ = [key for key, made in soaker.done.made.items() if fresh.done.made[key] != made]
    found = [f"{key} differs in a fresh server" for key in differ]
    print("\n".join(found + soaker.done.problems + fresh.done.problems))
    return int(bool(soaker.done.problems) or alone < len(soaker.done.made))


if __name__ == "__main__":
    sys.exit(main())
