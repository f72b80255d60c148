"""Leaves out one part of the method after the other in a trained demo world; prints one table.

    python -m idpatch_core.demo_world.ablations WORLD [--steps 1200] [--fresh-steps 1200]
        [--pictures 400] [--only NAME ...]

What is left out when sampling needs no training. The variants of the losses go on from stage 1 with
`--steps` steps of stage 2, and are compared with a stage 2 of as many steps. Those of the
projections are other networks, so they begin anew, with `--fresh-steps` steps of stage 2. Those of
the tokens' gradient (`run.token_gradient_every`) are stage 1 once more. Killed and started again,
it goes on. Both branches see the patches, as in the paper, but in one row; the figures come from
`idpatch_core.training.validate`, on unseen people.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from ..training.validate import main as evaluate
from .__main__ import HERE, train_stage

STAGE1, STAGE2 = HERE / "stage1.toml", HERE / "stage2.toml"
RESULTS = "ablations.md"
FRESH = ("models.controlnet=", "models.id_patch=")
PROJECTION = ("projection.tokens=4", "projection.patch_size=24")


class Variant(NamedTuple):
    """A row: how it is sampled, or which settings of a stage it is trained with."""

    name: str
    run: str  # its folder in the world
    without: tuple[str, ...] = ()
    changes: tuple[str, ...] | None = None  # None: trained before
    steps: int = 0  # 0: as many as the recipe says
    guided: bool = False
    recipe: Path = STAGE2


def variants(steps: int, fresh: int) -> list[Variant]:
    """Return all rows, in the order of the table."""

    def trained(name: str, run: str, *changes: str) -> Variant:
        return Variant(name, f"ablations/{run}-{steps}", (), changes, steps)

    def anew(name: str, run: str, *changes: str) -> Variant:
        changes = *FRESH, *PROJECTION, *changes
        return Variant(name, f"ablations/{run}-{fresh}", (), changes, fresh)

    def stage1(name: str, every: int) -> Variant:
        changes = (f"run.token_gradient_every={every}",)
        return Variant(name, f"ablations/stage1-tokens-{every}", (), changes, recipe=STAGE1)

    resampler = ("projection.width=256", "projection.depth=2", "projection.heads=4")
    mlp = ("projection.kind=mlp", "projection.width=512")
    return [
        Variant("full", "stage3"),
        Variant("full, without patches", "stage3", ("patches",)),
        Variant("full, without tokens", "stage3", ("tokens",)),
        Variant("full, pose-free", "stage3", ("pose",)),
        Variant("full, guided patches", "stage3", guided=True),
        Variant("stage 1 only", "stage1"),
        stage1("stage 1, tokens through the first half in every second step", 2),
        stage1("stage 1, tokens never through the first half", 0),
        Variant("stages 1 and 2", "stage2"),
        trained(f"stage 2 of {steps} steps", "all-losses"),
        trained("… without the matching loss", "no-matching", "losses.matching=0"),
        trained("… without the identity loss", "no-identity", "losses.identity=0"),
        trained("… without the weight of faces", "no-face-weight", "losses.face_weight=0"),
        trained("… without min-SNR", "no-min-snr", "losses.min_snr_gamma=0"),
        trained("… with the detection loss", "detection", "losses.detection=0.05"),
        anew(f"no stage 1, {fresh} steps, MLP", "mlp", *mlp),
        anew("… Resampler", "resampler", "projection.kind=resampler", *resampler),
        anew("… MLP, location embedding", "location", *mlp, "projection.location_embedding=true"),
        anew("… MLP, face-sized patches", "face-sized", *mlp, "projection.face_sized=true"),
    ]


def figures(world: Path, variant: Variant, pictures: int) -> dict[str, float]:
    """Train a variant if it is to be trained and is not yet, and evaluate it once."""
    run = world / variant.run
    if variant.changes is not None and not (run / "export").is_dir():
        own = [f"run.output={run}", "sampling.every=0"]
        own += [f"run.steps={variant.steps}"] if variant.steps else []
        train_stage(world, variant.recipe, [*variant.changes, *own])
    kinds = [f"without-{n}" for n in variant.without] + ["guided"] * variant.guided
    name = "-".join(["evaluation", *kinds, "0"])
    kept = run / f"ablation-{pictures}-{name}.json"
    if not kept.is_file():
        without = ["--without", *variant.without] if variant.without else []
        guide = "--guide-patches" if variant.guided else "--no-guide-patches"
        metrics = evaluate([str(run), f"--images={pictures}", guide, *without])
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
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.ablations")
    parser.add_argument("world", type=Path, help="the folder that was trained in")
    parser.add_argument("--steps", type=int, default=1200, help="of the variants of the losses")
    parser.add_argument("--fresh-steps", type=int, default=1200, help="of those of projections")
    parser.add_argument("--pictures", type=int, default=400, help="over all numbers of people")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows that begin with these")
    options = parser.parse_args(arguments)
    rows = []
    for variant in variants(options.steps, options.fresh_steps):
        if options.only and not variant.name.startswith(tuple(options.only)):
            continue
        rows.append((variant.name, figures(options.world, variant, options.pictures)))
        (options.world / RESULTS).write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
