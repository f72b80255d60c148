"""Trains and samples a world's model with one part of the method left out at a time.

    python -m idpatch_core.demo_world.ablations WORLD [--steps 1200] [--fresh-steps 1200]
        [--images 400] [--only NAME ...]

Prints one table, and writes it to `ablations.md`. Parts that are left out when sampling need no
training. Variants of the losses continue from stage 1 with `--steps` steps of stage 2, and are
compared with a stage 2 of as many steps. Variants of the projections are other networks, so they
are trained from scratch, with `--fresh-steps` steps of stage 2. Variants of the tokens' gradient
(`run.token_gradient_every`) repeat stage 1. An interrupted run resumes. Both branches see the
patches, as in the paper, except in one row. `idpatch_core.training.validate` measures all rows, on
unseen people.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from ..training.validate import main as validate
from .stages import STAGES, train_stage

TABLE_FILE = "ablations.md"
NEW_NETWORKS = (
    "models.controlnet=",
    "models.id_patch=",
    "projection.tokens=4",
    "projection.patch_size=24",
)


class Variant(NamedTuple):
    """A row: how it is sampled, or which settings of a stage it is trained with."""

    name: str
    run: str  # folder of the run, in the world
    without: tuple[str, ...] = ()
    changes: tuple[str, ...] | None = None  # settings; None: the run exists already
    steps: int = 0  # 0: as many as in the recipe
    guided: bool = False
    recipe: Path = STAGES["stage2"]


def list_variants(steps: int, fresh_steps: int) -> list[Variant]:
    """Return all rows, in the order of the table."""

    def change_losses(name: str, run: str, *changes: str) -> Variant:
        return Variant(name, f"ablations/{run}-{steps}", (), changes, steps)

    def change_projections(name: str, run: str, *changes: str) -> Variant:
        changes = *NEW_NETWORKS, *changes
        return Variant(name, f"ablations/{run}-{fresh_steps}", (), changes, fresh_steps)

    def change_token_gradient(name: str, every: int) -> Variant:
        changes = (f"run.token_gradient_every={every}",)
        run = f"ablations/stage1-tokens-{every}"
        return Variant(name, run, (), changes, recipe=STAGES["stage1"])

    resampler = ("projection.width=256", "projection.depth=2", "projection.heads=4")
    mlp = ("projection.kind=mlp", "projection.width=512")
    return [
        Variant("full", "stage3"),
        Variant("full, without patches", "stage3", ("patches",)),
        Variant("full, without tokens", "stage3", ("tokens",)),
        Variant("full, pose-free", "stage3", ("pose",)),
        Variant("full, guided patches", "stage3", guided=True),
        Variant("stage 1 only", "stage1"),
        change_token_gradient("stage 1, token gradient for every second batch", 2),
        change_token_gradient("stage 1, no token gradient through the encoder blocks", 0),
        Variant("stages 1 and 2", "stage2"),
        change_losses(f"stage 2 of {steps} steps", "all-losses"),
        change_losses("… without the matching loss", "no-matching", "losses.matching=0"),
        change_losses("… without the identity loss", "no-identity", "losses.identity=0"),
        change_losses("… without the weight of faces", "no-face-weight", "losses.face_weight=0"),
        change_losses("… without min-SNR", "no-min-snr", "losses.min_snr_gamma=0"),
        change_losses("… with the detection loss", "detection", "losses.detection=0.05"),
        change_projections(f"no stage 1, {fresh_steps} steps, MLP", "mlp", *mlp),
        change_projections("… Resampler", "resampler", "projection.kind=resampler", *resampler),
        change_projections(
            "… MLP, location embedding", "location", *mlp, "projection.location_embedding=true"
        ),
        change_projections(
            "… MLP, face-sized patches", "face-sized", *mlp, "projection.face_sized=true"
        ),
    ]


def measure_variant(world: Path, variant: Variant, images: int) -> dict[str, float]:
    """Train a variant if necessary, and validate it once; the metrics are kept in its run."""
    run = world / variant.run
    if variant.changes is not None and not (run / "export").is_dir():
        changes = [*variant.changes, f"run.output={run}", "sampling.every=0"]
        if variant.steps:
            changes.append(f"run.steps={variant.steps}")
        train_stage(world, variant.recipe, changes)
    parts = [f"without-{name}" for name in variant.without] + ["guided"] * variant.guided
    file = run / f"ablation-{images}-{'-'.join(['evaluation', *parts, '0'])}.json"
    if not file.is_file():
        without = ["--without", *variant.without] if variant.without else []
        guide = "--guide-patches" if variant.guided else "--no-guide-patches"
        metrics = validate([str(run), f"--images={images}", guide, *without])
        file.write_text(json.dumps(metrics), "utf-8")
    return json.loads(file.read_text("utf-8"))


def format_table(rows: list[tuple[str, dict[str, float]]]) -> str:
    """Return a Markdown table of association and similarity, with 95 % intervals."""
    counts = (2, 3, 4)
    head = ["", *(f"{n} people" for n in counts), *(f"similarity, {n}" for n in counts)]
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (2 * len(counts))])]
    for name, metrics in rows:
        cells = []
        for n in counts:
            mean, low, high = (100 * metrics[f"accuracy_{n}{end}"] for end in ("", "_low", "_high"))
            cells.append(f"{mean:.1f} % ({low:.0f} to {high:.0f})")
        cells += [f"{metrics[f'similarity_{n}']:.2f}" for n in counts]
        lines.append(" | ".join([name, *cells]))
    return "".join(f"| {line} |\n" for line in lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m idpatch_core.demo_world.ablations")
    parser.add_argument("world", type=Path, help="folder of a trained world")
    parser.add_argument("--steps", type=int, default=1200, help="for variants of the losses")
    parser.add_argument(
        "--fresh-steps", type=int, default=1200, help="for variants of the projections"
    )
    parser.add_argument("--images", type=int, default=400, help="in all, for a row")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows that begin with these")
    options = parser.parse_args(arguments)
    rows = []
    for variant in list_variants(options.steps, options.fresh_steps):
        if options.only and not variant.name.startswith(tuple(options.only)):
            continue
        rows.append((variant.name, measure_variant(options.world, variant, options.images)))
        (options.world / TABLE_FILE).write_text(format_table(rows), "utf-8")
    print(format_table(rows))


if __name__ == "__main__":
    main()
