"""Leaves out one part of the method after the other in a trained demo world; prints one table.

    python -m idpatch_core.training.demo_world.ablations WORLD [--steps 1200] [--pictures 400]
        [--only NAME ...]

What is left out when sampling needs no training. All other variants are trained for `--steps` steps
by stage 2 and compared with a stage 2 of as many steps: those of the losses go on from stage 1,
those of the projections begin anew, because theirs are other networks. Killed and started again,
it goes on. The figures come from `idpatch_core.training.evaluation`, on unseen people.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from ..evaluation import main as evaluate
from .__main__ import HERE, train_stage

STAGE2 = HERE / "stage2.toml"
RESULTS = "ablations.md"
FRESH = ("models.controlnet=", "models.id_patch=")
PROJECTION = ("projection.tokens=4", "projection.patch=24")


class Variant(NamedTuple):
    """A row: how it is sampled, or which settings of stage 2 it is trained with."""

    name: str
    run: str  # its folder in the world
    without: tuple[str, ...] = ()
    changes: tuple[str, ...] | None = None  # None: trained before


def variants(steps: int) -> list[Variant]:
    """Return all rows, in the order of the table."""

    def trained(name: str, run: str, *changes: str) -> Variant:
        return Variant(name, f"ablations/{run}-{steps}", changes=changes)

    def anew(name: str, run: str, *changes: str) -> Variant:
        return trained(name, run, *FRESH, *PROJECTION, *changes)

    resampler = ("projection.width=256", "projection.depth=2", "projection.heads=4")
    mlp = ("projection.kind=mlp", "projection.width=512")
    return [
        Variant("full", "stage2"),
        Variant("full, without patches", "stage2", ("patches",)),
        Variant("full, without tokens", "stage2", ("tokens",)),
        Variant("full, pose-free", "stage2", ("pose",)),
        Variant("stage 1 only", "stage1"),
        trained(f"stage 2 of {steps} steps", "all-losses"),
        trained("… without the matching loss", "no-matching", "losses.matching=0"),
        trained("… without the identity loss", "no-identity", "losses.identity=0"),
        trained("… without the weight of faces", "no-face-weight", "losses.face_weight=0"),
        trained("… without min-SNR", "no-min-snr", "losses.min_snr=0"),
        anew(f"no stage 1, {steps} steps, MLP", "mlp", *mlp),
        anew("… Resampler", "resampler", "projection.kind=resampler", *resampler),
        anew("… MLP, location embedding", "location", *mlp, "projection.location=true"),
    ]


def figures(world: Path, variant: Variant, pictures: int, steps: int) -> dict[str, float]:
    """Train a variant if it is to be trained and is not yet, and evaluate it once."""
    run = world / variant.run
    if variant.changes is not None and not (run / "export").is_dir():
        own = (f"run.output={run}", f"run.steps={steps}", "sampling.every=0")
        train_stage(world, STAGE2, [*variant.changes, *own])
    name = "-".join(["evaluation", *(f"without-{n}" for n in variant.without), "0"])
    kept = run / f"ablation-{pictures}-{name}.json"
    if not kept.is_file():
        without = ["--without", *variant.without] if variant.without else []
        metrics = evaluate([str(run), f"--pictures={pictures}", *without])
        kept.write_text(json.dumps(metrics), "utf-8")
    return json.loads(kept.read_text("utf-8"))


def table(rows: list[tuple[str, dict[str, float]]]) -> str:
    """Return a Markdown table of association and similarity, with 95 % intervals."""
    people = (2, 3, 4)
    head = ["", *(f"{n} people" for n in people), *(f"similarity, {n}" for n in people)]
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (2 * len(people))])]
    for name, row in rows:
        cells = [
            f"{100 * row[f'accuracy_{n}']:.1f} % "
            f"({100 * row[f'accuracy_{n}_low']:.0f} to {100 * row[f'accuracy_{n}_high']:.0f})"
            for n in people
        ]
        cells += [f"{row[f'similarity_{n}']:.2f}" for n in people]
        lines.append(" | ".join([name, *cells]))
    return "".join(f"| {line} |\n" for line in lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.training.demo_world.ablations")
    parser.add_argument("world", type=Path, help="the folder that was trained in")
    parser.add_argument("--steps", type=int, default=1200, help="of the variants that are trained")
    parser.add_argument("--pictures", type=int, default=400, help="over all numbers of people")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows that begin with these")
    options = parser.parse_args(arguments)
    rows = []
    for variant in variants(options.steps):
        if options.only and not variant.name.startswith(tuple(options.only)):
            continue
        rows.append(
            (variant.name, figures(options.world, variant, options.pictures, options.steps))
        )
        (options.world / RESULTS).write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
