import torch

from idpatch_core.layout import Figure, Point
from idpatch_core.region_gate import RegionGate, TokenLayout, attend, find_layouts
from idpatch_core.regions import attention_bias, distances

WIDTH, HEIGHT = 64, 32
FIGURES = (Figure(Point(16, 8), 8), Figure(Point(48, 8), 8))
LAYOUT = TokenLayout(start=3, per_person=2, people=2)


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
    bias = make_bias(gate(), [LAYOUT], [7], 7, 4, 8, torch.zeros(1))
    assert bias.shape == (1, 1, 32, 7)
    assert (bias[..., :3] == 0).all()
    for token, person in ((3, 0), (4, 0), (5, 1), (6, 1)):
        assert torch.equal(bias[0, 0, :, token], people[person])


def test_it_follows_an_entry_that_is_repeated_and_leaves_one_without_tokens_alone():
    bias = make_bias(gate(), [None, LAYOUT], [14, 7], 14, 4, 8, torch.zeros(1))
    assert (bias[0] == 0).all()
    assert torch.equal(bias[1, ..., :7], bias[1, ..., 7:])
    assert torch.equal(bias[1:, ..., :7], make_bias(gate(), [LAYOUT], [7], 7, 4, 8, torch.zeros(1)))


def test_text_that_was_added_behind_the_tokens_is_seen_everywhere():
    bias = make_bias(gate(), [LAYOUT], [10], 10, 4, 8, torch.zeros(1))
    assert (bias[..., 7:] == 0).all()


def test_entries_without_tokens_need_no_bias():
    assert gate().bias([None, None], [7, 7], 7, 4, 8, torch.zeros(1)) is None


def test_biases_are_kept_until_they_are_forgotten():
    one = gate()
    like = torch.zeros(1, dtype=torch.float16)
    bias = make_bias(one, [LAYOUT], [7], 7, 4, 8, like)
    assert bias.dtype == torch.float16
    assert make_bias(one, [LAYOUT], [7], 7, 4, 8, like) is bias
    one.forget()
    assert make_bias(one, [LAYOUT], [7], 7, 4, 8, like) is not bias


def test_entries_are_found_by_their_ids():
    entries = {"a": (LAYOUT, 7), "b": (None, 3)}
    assert find_layouts(entries, ["b", "a", "c"]) == ([None, LAYOUT, None], [3, 7, 0])
