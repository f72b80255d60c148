"""The ablations: every row's settings are known to the trainer, and the table has its columns."""

from idpatch_core.demo_world.ablations import STAGE2, table, variants
from idpatch_core.training.config_file import load_config


def test_every_row_that_is_trained_differs_from_its_recipe_by_known_settings() -> None:
    rows = variants(5, 7)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        if row.changes is not None:
            before = load_config(row.recipe).as_dict()
            config = load_config(row.recipe, row.changes).as_dict()  # raises on what is unknown
            assert (config != before) == bool(row.changes)


def test_rows_of_new_projections_start_without_the_old_ones() -> None:
    fresh = [
        row for row in variants(5, 7) if row.run.startswith(("ablations/mlp", "ablations/res"))
    ]
    assert len(fresh) == 2
    for row in fresh:
        assert row.steps == 7
        config = load_config(STAGE2, row.changes or ())
        assert not config.models.id_patch and not config.models.controlnet
        assert (config.projection.tokens, config.projection.patch_size) == (4, 24)


def test_the_table_has_shares_and_similarities() -> None:
    row = {
        f"{name}_{n}{end}": 0.5
        for name in ("accuracy", "similarity")
        for n in (2, 3, 4)
        for end in ("", "_low", "_high")
    }
    lines = table([("full", row)]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| full" + " | 50.0 % (50 to 50)" * 3 + " | 0.50" * 3 + " |"
