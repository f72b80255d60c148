import math
from itertools import combinations

import pytest
import torch

from idpatch_core.injection import (
    INJECTED,
    check_ranges,
    find_sigmas,
    first_injection_step,
    inject,
    injection_percent,
    injection_sigma,
    is_one_batch,
    join_tokens,
    scale_tokens,
    split_at,
    warn_of_lengths,
)

TEXT = torch.zeros(1, 77, 8)
TOKENS = torch.ones(2, 16, 8)


@pytest.mark.parametrize(
    ("steps", "ratio", "first"),
    [(50, 0.8, 10), (10, 0.9, 1), (10, 0.7, 4), (8, 0.5, 4), (7, 0.5, 4), (5, 1, 0), (5, 0, 5)],
)
def test_first_step_as_in_the_reference(steps: int, ratio: float, first: int):
    # (10, 0.7): 10 * (1 - 0.7) is a little more than 3 in floats, and so it is in the reference.
    assert first_injection_step(steps, ratio) == first


def test_boundary_on_a_step_belongs_to_the_step_after():
    assert injection_percent(0.8) < 0.2 < injection_percent(0.8) + 1e-4
    assert injection_percent(1.0) == 0
    assert injection_percent(0.0) == 1


def test_sigma_lies_between_the_two_steps():
    sigmas = [14.0, 7.0, 3.0, 1.0, 0.0]
    assert injection_sigma(sigmas, 2, preferred=6.5) == 6.5
    assert injection_sigma(sigmas, 2, preferred=7.0) == 5.0
    assert injection_sigma(sigmas, 2, preferred=3.0) == 5.0
    assert injection_sigma(sigmas, 0, preferred=5.0) == math.inf
    assert injection_sigma(sigmas, 4, preferred=5.0) == 0


def test_steps_at_one_sigma_see_the_same():
    sigmas = [14.0, 3.0, 3.0, 3.0, 1.0, 0.0]
    for first in (2, 3):
        boundary = injection_sigma(sigmas, first, preferred=2.0)
        assert not torch.tensor(3.0) >= boundary and boundary < 3.0001


def test_tokens_follow_the_text_person_by_person():
    tokens = torch.stack([torch.full((16, 8), 1.0), torch.full((16, 8), 2.0)])
    joined = join_tokens(torch.zeros(3, 154, 8), tokens)
    assert joined.shape == (3, 154 + 32, 8)
    assert joined[2, :, 0].tolist() == [0.0] * 154 + [1.0] * 16 + [2.0] * 16


def test_strength_scales_away_from_the_zero_tokens():
    zero, tokens = torch.full((3, 1, 1), 2.0), torch.full((3, 1, 1), 5.0)
    assert scale_tokens(tokens, zero, [1, 0, 2]).flatten().tolist() == [5.0, 2.0, 8.0]
    assert torch.equal(scale_tokens(tokens, zero, [1, 1, 1]), tokens)


def test_percent_split_leaves_room_for_another_range():
    """ComfyUI intersects clip_… with start_percent and end_percent, whoever sets them last."""
    split = split_at(0.2)
    before, after = split({"start_percent": 0.1, "end_percent": 0.6, "mask": "m"})
    kept = {"start_percent": 0.1, "end_percent": 0.6, "mask": "m"}
    assert before == {**kept, "clip_start_percent": 0.0, "clip_end_percent": 0.2}
    assert after == {**kept, "clip_start_percent": 0.2, "clip_end_percent": 1.0}


def test_percent_split_keeps_an_entry_within_the_schedule_of_its_prompt():
    split = split_at(0.2)
    before, after = split({"clip_start_percent": 0.1, "clip_end_percent": 0.6})
    assert before == {"clip_start_percent": 0.1, "clip_end_percent": 0.2}
    assert after == {"clip_start_percent": 0.2, "clip_end_percent": 0.6}
    later = {"clip_start_percent": 0.5, "clip_end_percent": 1.0}
    assert split(later) == (None, later)
    sooner = {"clip_start_percent": 0.0, "clip_end_percent": 0.2}
    assert split(sooner) == (sooner, None)


def to_sigma(share: float) -> float:
    return 10 * (1 - share)


def test_sigma_split_keeps_an_entry_within_its_own_part():
    split = split_at(5.0, to_sigma)
    before, after = split({"start_percent": 0.2, "end_percent": 0.9, "clip_end_percent": 0.8})
    assert before == {"timestep_start": 8.0, "timestep_end": 5.0}
    assert after == {"timestep_start": 5.0, "timestep_end": pytest.approx(2.0)}
    assert split({"start_percent": 0.5}) == (None, {"start_percent": 0.5})
    assert split({"end_percent": 0.4}) == ({"end_percent": 0.4}, None)
    assert split({}) == (
        {"timestep_start": math.inf, "timestep_end": 5.0},
        {"timestep_start": 5.0, "timestep_end": 0.0},
    )


def test_sigma_split_intersects_exact_sigmas():
    split = split_at(5.0, to_sigma)
    before, after = split({"timestep_start": 7.5, "timestep_end": 1.5})
    assert before == {"timestep_start": 7.5, "timestep_end": 5.0}
    assert after == {"timestep_start": 5.0, "timestep_end": 1.5}
    assert split({"timestep_start": 4.5}) == (None, {"timestep_start": 4.5})
    assert split({"timestep_end": 5.5}) == ({"timestep_end": 5.5}, None)


def test_a_share_replaces_exact_sigmas_as_in_comfyui():
    both = {"timestep_start": 7.5, "timestep_end": 1.5, "start_percent": 0.1}
    assert find_sigmas(both, to_sigma) == (9.0, 1.5)
    scheduled = {**both, "clip_start_percent": 0.4, "clip_end_percent": 0.7}
    assert find_sigmas(scheduled, to_sigma) == (6.0, pytest.approx(3.0))


def test_exact_sigmas_are_refused_where_no_schedule_is_known():
    for limited in ({"timestep_start": 7.5}, {"timestep_end": 1.5, "start_percent": 0.1}):
        with pytest.raises(ValueError, match="negative: it is limited to a range of sigmas"):
            check_ranges("negative", [[TEXT, {}], [TEXT, limited]])
    replaced = {"timestep_start": 7.5, "clip_start_percent": 0.0, "clip_end_percent": 1.0}
    check_ranges("negative", [[TEXT, replaced], [TEXT, {"start_percent": 0.1}]])


def test_texts_that_make_one_batch():
    """Lengths up to four times the shorter one, as ComfyUI repeats texts."""
    assert is_one_batch(77, 77) and is_one_batch(154, 77) and is_one_batch(308, 231)
    assert is_one_batch(308, 77) and not is_one_batch(385, 77)
    assert not is_one_batch(154 + 48, 77 + 48)


def entries(length: int, **options: int) -> list:
    return [[torch.zeros(1, length, 8), {INJECTED: 2}], [torch.zeros(1, 77, 8), options]]


def test_texts_of_unequal_length_are_warned_of():
    assert warn_of_lengths(entries(109), entries(109)) == ""
    assert warn_of_lengths(entries(186) + entries(109), entries(186) + entries(109)) == ""
    warning = warn_of_lengths(entries(186), entries(109))
    assert "186 and 109 tokens" in warning and "twice in each step" in warning
    assert warn_of_lengths(entries(186) + entries(109), entries(109)) == warning
    assert warn_of_lengths([[torch.zeros(1, 154, 8), {}]], [[TEXT, {}]]) == ""  # without tokens


@pytest.mark.parametrize("people", range(1, 21))
def test_repeating_never_makes_unequal_texts_one_batch(people: int):
    lengths = [77 * chunks + 16 * people for chunks in range(1, 9)]
    assert [one for one in combinations(lengths, 2) if is_one_batch(*one)] == []


def test_all_else_of_an_entry_is_kept_on_both_sides():
    entry = [TEXT, {"pooled_output": "p", "control": "c", "cross_attn_controlnet": TEXT}]
    after, before = inject([entry], TOKENS, split_at(0.2))
    assert before[0] is TEXT and after[0].shape == (1, 109, 8)
    assert before[1]["cross_attn_controlnet"] is TEXT
    assert after[1]["cross_attn_controlnet"].shape == (1, 109, 8)
    assert (before[1]["pooled_output"], after[1]["control"]) == ("p", "c")
    assert INJECTED not in before[1] and after[1][INJECTED] == 2


def test_the_tokens_come_first_for_nodes_that_read_the_first_entry_only():
    out = inject([[TEXT, {"a": 1}], [TEXT, {"a": 2}]], TOKENS, split_at(0.2))
    assert [text.shape[1] for text, _ in out] == [109, 77, 109, 77]
    assert [options["a"] for _, options in out] == [1, 1, 2, 2]


def test_no_injection_leaves_the_conditioning_alone():
    assert inject([[TEXT, {"a": 1}]], TOKENS, split_at(1.0)) == [[TEXT, {"a": 1}]]
