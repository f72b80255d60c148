"""Ablations: the trainer knows the settings of every row, and the table has its columns."""

from idpatch_core.demo_world.ablations import format_table, list_variants
from idpatch_core.demo_world.stages import STAGES
from idpatch_core.training.config_file import load_config


def test_every_trained_row_changes_known_settings_of_its_recipe():
    rows = list_variants(5, 7)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        if row.changes is not None:
            before = load_config(row.recipe).as_dict()
            config = load_config(row.recipe, row.changes).as_dict()  # raises on unknown settings
            assert (config != before) == bool(row.changes)


def test_new_projections_are_not_loaded():
    runs = ("ablations/mlp", "ablations/resampler")
    fresh = [row for row in list_variants(5, 7) if row.run.startswith(runs)]
    assert len(fresh) == 2
    for row in fresh:
        assert row.steps == 7
        config = load_config(STAGES["stage2"], row.changes or ())
        assert not config.models.id_patch and not config.models.controlnet
        assert (config.projection.tokens, config.projection.patch_size) == (4, 24)


def test_the_table_has_accuracies_and_similarities():
    metrics = {
        f"{name}_{n}{end}": 0.5
        for name in ("accuracy", "similarity")
        for n in (2, 3, 4)
        for end in ("", "_low", "_high")
    }
    lines = format_table([("full", metrics)]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| full" + " | 50.0 % (50 to 50)" * 3 + " | 0.50" * 3 + " |"
