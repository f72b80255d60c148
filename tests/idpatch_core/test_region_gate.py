import math

import pytest
import torch

from idpatch_core.layout import Figure, Point
from idpatch_core.phrases import Caption
from idpatch_core.region_gate import Entry, RegionGate, TokenLayout, attend
from idpatch_core.regions import attention_bias, distances

WIDTH, HEIGHT = 64, 32
FIGURES = (Figure(Point(16, 8), 8), Figure(Point(48, 8), 8))
LAYOUT = TokenLayout(start=3, per_person=2, people=2)
ENTRY = Entry(LAYOUT, length=7)


def gate(outside=0.1):
    return RegionGate(FIGURES, WIDTH, HEIGHT, outside)


def make_bias(of, *arguments):
    bias = of.bias(*arguments)
    assert bias is not None
    return bias


def test_attention_with_a_bias_equals_its_formula():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 12, generator=generator, dtype=torch.float64) for n in (8, 7, 7))
    bias = torch.randn(2, 1, 8, 7, generator=generator, dtype=torch.float64)
    out = attend(q, k, v, 3, bias)
    for entry in range(2):
        for head in range(3):
            part = slice(4 * head, 4 * head + 4)
            for query in range(8):
                weights = (
                    k[entry, :, part] @ q[entry, query, part] / 2 + bias[entry, 0, query]
                ).exp()
                expected = weights @ v[entry, :, part] / weights.sum()
                torch.testing.assert_close(out[entry, query, part], expected)


def test_the_bias_covers_each_person_s_tokens_and_no_text():
    people = attention_bias(distances(FIGURES, 4, 8, WIDTH, HEIGHT), 0.1).flatten(1)
    bias = make_bias(gate(), [ENTRY], 7, 4, 8, torch.zeros(1))
    assert bias.shape == (1, 1, 32, 7)
    assert (bias[..., :3] == 0).all()
    for token, person in ((3, 0), (4, 0), (5, 1), (6, 1)):
        assert torch.equal(bias[0, 0, :, token], people[person])


def test_it_follows_an_entry_that_is_repeated_and_leaves_one_without_tokens_alone():
    bias = make_bias(gate(), [Entry(None, 14), ENTRY], 14, 4, 8, torch.zeros(1))
    assert (bias[0] == 0).all()
    assert torch.equal(bias[1, ..., :7], bias[1, ..., 7:])
    assert torch.equal(bias[1:, ..., :7], make_bias(gate(), [ENTRY], 7, 4, 8, torch.zeros(1)))


def test_text_that_was_added_behind_the_tokens_is_seen_everywhere():
    bias = make_bias(gate(), [Entry(LAYOUT, 10)], 10, 4, 8, torch.zeros(1))
    assert (bias[..., 7:] == 0).all()


def test_entries_without_tokens_need_no_bias():
    assert gate().bias([Entry(None, 7), Entry(None, 7)], 7, 4, 8, torch.zeros(1)) is None


def test_biases_are_kept_until_they_are_forgotten():
    one = gate()
    like = torch.zeros(1, dtype=torch.float16)
    bias = make_bias(one, [ENTRY], 7, 4, 8, like)
    assert bias.dtype == torch.float16
    assert make_bias(one, [ENTRY], 7, 4, 8, like) is bias
    one.forget()
    assert make_bias(one, [ENTRY], 7, 4, 8, like) is not bias


def test_an_entry_of_an_area_has_the_regions_of_that_area():
    whole = make_bias(gate(), [ENTRY], 7, 4, 8, torch.zeros(1)).unflatten(2, (4, 8))
    part = Entry(LAYOUT, 7, area=(32.0, 8.0, 32.0, 16.0))
    bias = make_bias(gate(), [part], 7, 2, 4, torch.zeros(1)).unflatten(2, (2, 4))
    assert torch.equal(bias, whole[:, :, 1:3, 4:])
    assert not torch.equal(bias, whole[:, :, 1:3, :4])


def caption_gate(*people, outside=0.1):
    captions = [Caption(person, torch.full((2 + person, 5), 1.0 + person)) for person in people]
    return RegionGate(FIGURES, WIDTH, HEIGHT, outside, captions=captions)


def test_captions_stand_behind_the_text_in_their_order():
    tokens = caption_gate(0, 1).caption_tokens(torch.zeros(1, dtype=torch.float64))
    assert tokens.dtype == torch.float64
    assert tokens[:, 0].tolist() == [1, 1, 2, 2, 2]


def test_a_caption_takes_the_place_of_the_text_in_its_region():
    entry = ENTRY._replace(captions=True)
    bias = make_bias(caption_gate(0, 1), [entry], 12, 4, 8, torch.zeros(1), 7)[0, 0]
    low = math.log(0.1)
    nose, other = 1 * 8 + 1, 1 * 8 + 6  # cells of the two people
    assert bias[nose, [0, 1, 2]].tolist() == pytest.approx([low] * 3)  # the text
    assert bias[nose, 3:7].tolist() == pytest.approx([0, 0, low, low])  # the ID tokens
    assert bias[nose, 7:].tolist() == pytest.approx([0, 0, low, low, low])  # the captions
    assert bias[other, 7:].tolist() == pytest.approx([low, low, 0, 0, 0])


def test_the_text_describes_who_has_no_caption_and_what_is_far_from_each_person():
    entry = ENTRY._replace(captions=True)
    bias = make_bias(caption_gate(1), [entry], 10, 4, 8, torch.zeros(1), 7)[0, 0]
    assert bias[1 * 8 + 1, :3].tolist() == [0, 0, 0]
    assert bias[1 * 8 + 1, 7:].tolist() == pytest.approx([math.log(0.1)] * 3)
    small = tuple(Figure(figure.point, 2.0) for figure in FIGURES)
    far = RegionGate(small, WIDTH, HEIGHT, 0.1, captions=[Caption(1, torch.zeros(3, 5))])
    bias = make_bias(far, [entry], 10, 4, 8, torch.zeros(1), 7)[0, 0]
    assert bias[1 * 8 + 7, :3].tolist() == [0, 0, 0]  # 12 pixels, 6 radii, beside the second


def test_a_caption_counts_as_often_as_the_text_that_is_repeated():
    entry = Entry(None, 3, captions=True)
    one = make_bias(caption_gate(0, 1), [entry], 3 + 5, 4, 8, torch.zeros(1), 3)
    two = make_bias(caption_gate(0, 1), [entry], 6 + 5, 4, 8, torch.zeros(1), 6)
    assert torch.equal(two[..., :3], one[..., :3]) and torch.equal(two[..., 3:6], one[..., :3])
    torch.testing.assert_close(two[..., 6:], one[..., 3:] + math.log(2))


def test_another_entry_of_the_batch_does_not_see_the_captions():
    entries = [Entry(LAYOUT, 7), ENTRY._replace(captions=True)]
    bias = make_bias(caption_gate(0), entries, 9, 4, 8, torch.zeros(1), 7)
    assert (bias[0, ..., 7:] == -math.inf).all()
    without = make_bias(caption_gate(0), [ENTRY], 7, 4, 8, torch.zeros(1))
    assert torch.equal(bias[:1, ..., :7], without)
    assert (bias[1, ..., 7:] > -math.inf).all()


def test_tokens_of_another_pack_behind_the_captions_are_left_alone():
    entry = Entry(LAYOUT, 7, captions=True)
    bias = make_bias(caption_gate(0), [entry], 11, 4, 8, torch.zeros(1), 7)
    assert (bias[..., 9:] == 0).all()
    assert torch.equal(
        bias[..., :9], make_bias(caption_gate(0), [entry], 9, 4, 8, torch.zeros(1), 7)
    )
