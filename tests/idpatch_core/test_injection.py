import math

import pytest
import torch

from idpatch_core.injection import (
    INJECTED,
    first_injection_step,
    inject,
    injection_percent,
    injection_sigma,
    join_tokens,
    scale_tokens,
    split_at,
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


def test_tokens_follow_the_text_person_by_person():
    tokens = torch.stack([torch.full((16, 8), 1.0), torch.full((16, 8), 2.0)])
    joined = join_tokens(torch.zeros(3, 154, 8), tokens)
    assert joined.shape == (3, 154 + 32, 8)
    assert joined[2, :, 0].tolist() == [0.0] * 154 + [1.0] * 16 + [2.0] * 16


def test_strength_scales_away_from_the_zero_tokens():
    zero, tokens = torch.full((3, 1, 1), 2.0), torch.full((3, 1, 1), 5.0)
    assert scale_tokens(tokens, zero, [1, 0, 2]).flatten().tolist() == [5.0, 2.0, 8.0]
    assert torch.equal(scale_tokens(tokens, zero, [1, 1, 1]), tokens)


def test_percent_split_keeps_an_entry_within_its_own_part():
    split = split_at(0.2)
    before, after = split({"start_percent": 0.1, "end_percent": 0.6, "mask": "m"})
    assert before == {"start_percent": 0.1, "end_percent": 0.2, "mask": "m"}
    assert after == {"start_percent": 0.2, "end_percent": 0.6, "mask": "m"}
    assert split({"start_percent": 0.5}) == (None, {"start_percent": 0.5})
    assert split({"end_percent": 0.1}) == ({"end_percent": 0.1}, None)
    scheduled = {"clip_start_percent": 0.5, "clip_end_percent": 1.0}
    assert split(scheduled) == (None, scheduled)


def test_sigma_split_keeps_an_entry_within_its_own_part():
    split = split_at(5.0, lambda percent: 10 * (1 - percent))
    before, after = split({"start_percent": 0.2, "end_percent": 0.9, "clip_end_percent": 0.8})
    assert before == {"timestep_start": 8.0, "timestep_end": 5.0}
    assert after == {"timestep_start": 5.0, "timestep_end": pytest.approx(2.0)}
    assert split({"start_percent": 0.5}) == (None, {"start_percent": 0.5})
    assert split({"end_percent": 0.4}) == ({"end_percent": 0.4}, None)


def test_all_else_of_an_entry_is_kept_on_both_sides():
    entry = [TEXT, {"pooled_output": "p", "control": "c", "cross_attn_controlnet": TEXT}]
    before, after = inject([entry], TOKENS, split_at(0.2))
    assert before[0] is TEXT and after[0].shape == (1, 109, 8)
    assert before[1]["cross_attn_controlnet"] is TEXT
    assert after[1]["cross_attn_controlnet"].shape == (1, 109, 8)
    assert (before[1]["pooled_output"], after[1]["control"]) == ("p", "c")
    assert INJECTED not in before[1] and after[1][INJECTED] == 2


def test_no_injection_leaves_the_conditioning_alone():
    assert inject([[TEXT, {"a": 1}]], TOKENS, split_at(1.0)) == [[TEXT, {"a": 1}]]
