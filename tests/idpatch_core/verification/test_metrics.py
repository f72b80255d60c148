import itertools
import math

import numpy as np
import pytest
import torch

from idpatch_core.verification import metrics
from idpatch_core.verification.metrics import Tally, make_assignment

# Three people along the axes, a face of each with a little of somebody else.
REFERENCES = np.eye(3)
ADA, BEN, CAN = [0.8, 0.6, 0.0], [0.0, 0.8, 0.6], [0.6, 0.0, 0.8]


def put(*faces, at=None):
    """A assignment with these face embeddings; `at` says which stands at whose place."""
    at = range(3) if at is None else at
    return make_assignment(metrics.cosine(REFERENCES, np.array(faces)), tuple(at))


def value(tally):
    return tally.value


def test_cosine_ignores_the_length_of_embeddings():
    assert metrics.cosine([[3, 4]], [[4, 3], [-6, -8]]) == pytest.approx(np.array([[0.96, -1]]))


def test_cosine_of_nothing_has_no_rows():
    assert metrics.cosine(np.eye(2), np.zeros((0, 2))).shape == (2, 0)
    assert metrics.cosine(np.zeros((0, 2)), np.eye(2)).shape == (0, 2)


def test_cosine_refuses_an_embedding_without_direction():
    with pytest.raises(ValueError, match="zero"):
        metrics.cosine([[0, 0]], [[1, 0]])


def test_perfect():
    assignment = put(ADA, BEN, CAN)
    assert metrics.nearest(assignment) == [0, 1, 2]
    assert metrics.correct(assignment) == [True, True, True]
    assert metrics.association_accuracy(assignment) == Tally(3, 3)
    assert metrics.face_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.blend(assignment).value == pytest.approx(0.3)  # (0.6 + 0) / 2
    assert metrics.swaps(assignment) == []
    assert metrics.duplicates(assignment) == [0, 0, 0]
    assert metrics.coverage(assignment) == Tally(3, 3)
    assert metrics.count_accuracy(assignment) == Tally(1, 1)
    assert metrics.leakage_rate(assignment) == Tally(0, 3)


def test_two_swapped_are_exactly_the_two_wrong_and_hungarian_does_not_notice():
    assignment = put(BEN, ADA, CAN)
    assert metrics.correct(assignment) == [False, False, True]
    assert metrics.swaps(assignment) == [(0, 1)]
    assert metrics.swapped(assignment) == Tally(2, 3)
    assert metrics.association_accuracy(assignment).value == pytest.approx(1 / 3)
    assert metrics.face_similarity(assignment).value == pytest.approx((0 + 0.6 + 0.8) / 3)
    assert metrics.hungarian_similarity(assignment) == metrics.hungarian_similarity(
        put(ADA, BEN, CAN)
    )
    assert metrics.leakage_rate(assignment) == Tally(2, 3)
    assert metrics.coverage(assignment) == Tally(3, 3)


def test_all_moved_round_are_one_group_of_three():
    assignment = put(BEN, CAN, ADA)
    assert metrics.association_accuracy(assignment) == Tally(0, 3)
    assert metrics.swaps(assignment) == [(0, 1, 2)]


def test_a_chain_that_ends_elsewhere_is_no_swap():
    assignment = put(BEN, BEN, CAN)  # Ben stands at Ada's place and at his own
    assert metrics.swaps(assignment) == []
    assert metrics.correct(assignment) == [False, True, True]


def test_one_missing_is_a_failure():
    assignment = put(ADA, CAN, at=(0, None, 1))
    assert metrics.nearest(assignment) == [0, None, 2]
    assert metrics.association_accuracy(assignment) == Tally(2, 3)
    assert metrics.face_similarity(assignment).value == pytest.approx(1.6 / 3)
    assert metrics.found_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(1.6 / 3)
    assert metrics.coverage(assignment) == Tally(2, 3)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)
    assert metrics.leakage_rate(assignment) == Tally(0, 2)


def test_one_duplicate():
    assignment = put(ADA, ADA, CAN)
    assert metrics.correct(assignment) == [True, False, True]
    assert metrics.duplicates(assignment) == [1, 0, 0]
    assert metrics.duplicated(assignment) == Tally(1, 3)


def test_a_duplicate_below_the_threshold_is_a_stranger():
    faint = [0.3, 0.0, 0.0, math.sqrt(1 - 0.09)]
    references = np.eye(4)[:3]
    assignment = make_assignment(metrics.cosine(references, [[1, 0, 0, 0], faint]), (0, None, None))
    assert metrics.duplicates(assignment, threshold=0.31) == [0, 0, 0]
    assert metrics.duplicates(assignment, threshold=0.29) == [1, 0, 0]


def test_an_even_blend_is_nobody():
    both = [math.sqrt(0.5), math.sqrt(0.5), 0.0]
    assignment = put(both, both, CAN)
    assert metrics.nearest(assignment) == [None, None, 2]
    assert metrics.correct(assignment) == [False, False, True]
    assert metrics.blend(assignment).value == pytest.approx((2 * math.sqrt(0.5) / 2 + 0.3) / 3)
    assert metrics.swaps(assignment) == []


def test_coverage_gives_one_face_to_one_person_only():
    assignment = put([math.sqrt(0.5), math.sqrt(0.5), 0.0], at=(0, None, None))
    assert metrics.coverage(assignment) == Tally(1, 3)


def test_more_faces_than_people():
    stranger = [-1.0, 0.0, 0.0]
    assignment = put(stranger, ADA, BEN, CAN, stranger, at=(1, 2, 3))
    assert metrics.association_accuracy(assignment) == Tally(3, 3)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)
    assert metrics.duplicates(assignment) == [0, 0, 0]


def test_nobody_found():
    assignment = make_assignment(np.zeros((3, 0)), (None, None, None))
    assert metrics.association_accuracy(assignment) == Tally(0, 3)
    assert metrics.face_similarity(assignment) == Tally(0, 3)
    assert metrics.hungarian_similarity(assignment) == Tally(0, 3)
    assert metrics.coverage(assignment) == Tally(0, 3)
    assert math.isnan(metrics.found_similarity(assignment).value)
    assert math.isnan(metrics.blend(assignment).value)
    assert math.isnan(metrics.leakage_rate(assignment).value)
    assert metrics.count_accuracy(assignment) == Tally(0, 1)


def test_nobody_asked_for():
    assignment = make_assignment(np.zeros((0, 2)), ())
    assert all(
        math.isnan(t.value) for n, t in metrics.tallies(assignment).items() if n != "count_accuracy"
    )
    assert metrics.count_accuracy(assignment) == Tally(0, 1)


def test_one_person_cannot_blend_or_leak():
    assignment = make_assignment([[0.9]], (0,))
    assert metrics.association_accuracy(assignment) == Tally(1, 1)
    assert metrics.chance_level(assignment).value == 1
    assert metrics.blend(assignment).count == metrics.leakage_rate(assignment).count == 0


def test_somebody_off_the_canvas_is_no_failure_but_can_be_resembled():
    similarity = metrics.cosine(REFERENCES, [CAN, BEN])
    assignment = make_assignment(similarity, (0, 1, None), expected=(True, True, False))
    assert metrics.association_accuracy(assignment) == Tally(1, 2)
    assert metrics.nearest(assignment) == [2, 1, None]
    assert metrics.chance_level(assignment).value == pytest.approx(1 / 3)


def test_unknown_places_leave_the_metrics_that_need_none():
    assignment = make_assignment(metrics.cosine(REFERENCES, [CAN, ADA, BEN]))
    found = {name for name, tally in metrics.tallies(assignment).items() if tally.count}
    assert found == {"hungarian_similarity", "coverage", "count_accuracy", "duplicated"}
    assert metrics.hungarian_similarity(assignment).value == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(20))
def test_against_independent_formulas(seed):
    rng = np.random.default_rng(seed)
    people, found = int(rng.integers(1, 6)), int(rng.integers(0, 7))
    similarity = rng.uniform(-1, 1, (people, found))
    order = [int(i) if i < found else None for i in rng.permutation(max(people, found))[:people]]
    assignment = make_assignment(similarity, order)
    rows = {
        i: [similarity[k][j] for k in range(people)] for i, j in enumerate(order) if j is not None
    }

    right = sum(max(range(people), key=row.__getitem__) == i for i, row in rows.items())
    assert metrics.association_accuracy(assignment) == Tally(right, people)
    assert value(metrics.face_similarity(assignment)) == pytest.approx(
        sum(row[i] for i, row in rows.items()) / people
    )
    if people > 1 and rows:
        off = [row[k] for i, row in rows.items() for k in range(people) if k != i]
        assert value(metrics.blend(assignment)) == pytest.approx(sum(off) / len(off))
        assert value(metrics.leakage_rate(assignment)) == pytest.approx(1 - right / len(rows))
    padded = np.pad(similarity, ((0, max(found - people, 0)), (0, max(people - found, 0))))
    best = max(
        sum(padded[i, j] for i, j in enumerate(order))
        for order in itertools.permutations(range(len(padded)))
    )
    assert value(metrics.hungarian_similarity(assignment)) == pytest.approx(best / people)


@pytest.mark.parametrize(
    ("similarity", "faces", "message"),
    [
        ([0.5, 0.5], None, "people by faces"),
        ([[0.5, float("nan")]], None, "NaN"),
        ([[0.5], [0.5]], (0, 0), "different"),
        ([[0.5]], (1,), "below 1"),
        ([[0.5]], (0, None), "each of 1 people"),
    ],
)
def test_a_scene_that_makes_no_sense(similarity, faces, message):
    with pytest.raises(ValueError, match=message):
        make_assignment(similarity, faces)


def box(x, y, half):
    return (x - half, y - half, x + half, y + half)


def test_every_face_goes_to_its_nearest_place():
    noses = [(310, 100), (95, 104)]
    boxes = [box(*nose, 40) for nose in noses]
    assert metrics.faces_at_places([(100, 100), (300, 100)], noses, boxes) == [1, 0]


def test_a_face_too_far_from_every_place_is_at_none():
    # Half the diagonal of an 80 x 80 box is 56.6 pixels.
    at = [metrics.faces_at_places([(100, 100)], [(x, 100)], [box(x, 100, 40)]) for x in (156, 157)]
    assert at == [[0], [None]]


def test_a_small_face_may_stand_half_a_patch_away():
    at = [metrics.faces_at_places([(100, 100)], [(x, 100)], [box(x, 100, 5)]) for x in (132, 133)]
    assert at == [[0], [None]]


def test_as_many_places_as_possible_are_filled():
    # The greedy choice (second face to the first place, 10 px) would leave the second place empty.
    points, noses = [(100, 100), (150, 100)], [(60, 100), (110, 100)]
    boxes = [box(*nose, 40) for nose in noses]
    assert metrics.faces_at_places(points, noses, boxes) == [0, 1]


def test_people_without_a_place_get_no_face():
    assert metrics.faces_at_places([None, (50, 50)], [(50, 50)], [box(50, 50, 9)]) == [None, 0]
    assert metrics.faces_at_places([None], [(50, 50)], [box(50, 50, 9)]) == [None]
    assert metrics.faces_at_places([(50, 50)], np.zeros((0, 2)), np.zeros((0, 4))) == [None]


def unit(degrees):
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


@pytest.mark.parametrize(
    ("generated", "expected"),
    [(60, 1.0), (0, -1.0), (30, 0.0), (45, 0.5), (75, 1.0), (-30, -1.0)],
)
def test_copy_paste_on_a_circle(generated, expected):
    # Truth at 0 degrees, reference at 60: (|g| - |g - 60|) / 60.
    score = metrics.copy_paste(unit(generated), unit(0), unit(60))
    assert score == pytest.approx(expected, abs=1e-6)


def test_copy_paste_where_the_reference_is_the_truth():
    assert metrics.copy_paste(unit(30), unit(0), unit(0)) == 0.0


def test_bootstrap_interval_is_repeatable_and_holds_the_value():
    rng = np.random.default_rng(0)
    parts = [Tally(float(rng.binomial(3, 0.7)), 3) for _ in range(200)]
    low, high = metrics.bootstrap_interval(parts, seed=1)
    assert (low, high) == metrics.bootstrap_interval(parts, seed=1)
    assert (low, high) != metrics.bootstrap_interval(parts, seed=2)
    mean = sum(part.total for part in parts) / 600
    # The normal approximation of a binomial share, with 600 draws.
    assert low == pytest.approx(mean - 1.96 * math.sqrt(mean * (1 - mean) / 600), abs=0.01)
    assert high == pytest.approx(mean + 1.96 * math.sqrt(mean * (1 - mean) / 600), abs=0.01)


def test_bootstrap_of_constant_and_of_too_few():
    assert metrics.bootstrap_interval([Tally(1, 2)] * 5) == (0.5, 0.5)
    assert all(math.isnan(end) for end in metrics.bootstrap_interval([Tally(1, 2), Tally(0, 0)]))


class Colours(torch.nn.Module):
    """Mean colour as the features of a picture."""

    num_features = 3

    def forward(self, pictures):
        return pictures.float().mean((2, 3))


def test_fid_equals_the_formula():
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from scipy.linalg import sqrtm

    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 200, (30, 3, 8, 8), dtype=torch.uint8, generator=generator)
    made = torch.randint(50, 255, (20, 3, 8, 8), dtype=torch.uint8, generator=generator)
    means, covariances = [], []
    for pictures in (real, made):
        features = pictures.double().mean((2, 3)).numpy()
        means.append(features.mean(0))
        covariances.append(np.cov(features, rowvar=False))
    root = np.real(np.asarray(sqrtm(covariances[0] @ covariances[1])))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert metrics.fid(real, made, Colours()) == pytest.approx(expected, rel=1e-4)


def test_fid_of_one_picture_is_refused():
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="1 real and 2 generated"):
        metrics.fid([picture], [picture, picture], Colours())


def test_clip_model_that_is_not_there_is_not_downloaded(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(ValueError, match=r"No CLIP model at .*nothing"):
        metrics.load_clip_similarity(tmp_path / "nothing")


@torch.inference_mode()
def test_clip_similarity_is_the_cosine_of_both_embeddings(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    save_tiny_clip(transformers, tmp_path)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    similarity = metrics.load_clip_similarity(tmp_path)(picture, "a b")

    model = transformers.CLIPModel.from_pretrained(tmp_path)
    process = transformers.CLIPImageProcessor.from_pretrained(tmp_path)
    pixels = process([picture], return_tensors="pt").pixel_values
    seen = model.visual_projection(model.vision_model(pixels).pooler_output)
    tokens = torch.tensor([[4, 2, 3, 5]])
    read = model.text_projection(model.text_model(tokens).pooler_output)
    assert similarity == pytest.approx(float(torch.cosine_similarity(seen, read)), abs=1e-5)


def save_tiny_clip(transformers, directory):
    import json

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **sizes,
            "num_hidden_layers": 1,
            "vocab_size": 6,
            "bos_token_id": 4,
            "eos_token_id": 5,
            "pad_token_id": 5,
        },
        vision_config={**sizes, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(directory)
    vocabulary = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]
    (directory / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(
        str(directory / "vocab.json"), str(directory / "merges.txt")
    ).save_pretrained(directory)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(directory)
