"""The losses against their formulas, on numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from idpatch_core.training import losses
from idpatch_core.training.torch_yunet import Candidates

ALPHAS = torch.tensor([0.9, 0.5, 0.01])


@pytest.mark.parametrize("kind", [losses.EPSILON, losses.VELOCITY])
def test_a_perfect_prediction_gives_x0_back(kind: str) -> None:
    x0, noise = torch.randn(2, 3, 4, 5, 6).unbind()
    noisy = losses.add_noise(x0, noise, ALPHAS)
    perfect = losses.target(x0, noise, ALPHAS, kind)
    torch.testing.assert_close(
        losses.estimate_x0(noisy, perfect, ALPHAS, kind), x0, atol=1e-5, rtol=0
    )


def test_min_snr_limits_the_weight_of_clear_pictures() -> None:
    # SNR 9, 1 and 1/99
    weights = losses.min_snr_weights(ALPHAS, 5.0, losses.EPSILON)
    torch.testing.assert_close(weights, torch.tensor([5 / 9, 1.0, 1.0]))
    weights = losses.min_snr_weights(ALPHAS, 5.0, losses.VELOCITY)
    torch.testing.assert_close(weights, torch.tensor([5 / 10, 1 / 2, 1 / 100]))
    assert losses.min_snr_weights(ALPHAS, 0.0, losses.EPSILON).tolist() == [1, 1, 1]


def test_denoising_weighs_levels_and_places() -> None:
    wanted = torch.zeros(2, 1, 1, 2)
    prediction = torch.tensor([[[[1.0, 3.0]]], [[[2.0, 0.0]]]])
    plain = losses.denoising(prediction, wanted, torch.tensor([1.0, 0.5]))
    assert plain.item() == pytest.approx((5 + 0.5 * 2) / 2)
    places = torch.tensor([1.5, 0.5]).view(1, 1, 1, 2)
    weighed = losses.denoising(prediction, wanted, torch.ones(2), places)
    assert weighed.item() == pytest.approx(((1.5 + 4.5) / 2 + (6 / 2)) / 2)


def test_face_places_count_more_inside_boxes() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 16.0, 8.0]]])  # the first two of four cells
    places = losses.face_places(boxes, (1, 4), 8, weight=3.0)
    assert places.flatten().tolist() == pytest.approx([1.6, 1.6, 0.4, 0.4])


def test_identity_is_one_minus_cosine_by_noise_level() -> None:
    features, references = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = losses.identity(features, references, torch.tensor([0.7, 0.2]), count=4)
    assert loss.item() == pytest.approx(0.2 / 4)


def candidates(score: float, box: list[float]) -> Candidates:
    none = torch.zeros(1, 1, 5, 2)
    return Candidates(torch.tensor([[score]]), torch.tensor([[box]]), none, none[0, :, 0])


def test_detection_wants_a_sure_face_of_the_right_size() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])

    def loss(score: float, found: list[float]) -> float:
        return losses.detection(candidates(score, found), box, torch.ones(1), 1).item()

    assert loss(0.5, [0, 0, 10, 10]) == pytest.approx(math.log(2), abs=1e-3)
    assert loss(1.0, [0, 0, 10, 5]) == pytest.approx(math.log(2), abs=1e-3)
    assert loss(1.0, [5, 0, 15, 10]) == pytest.approx(math.log(3), abs=1e-3)
    assert loss(1.0, [20, 0, 30, 10]) > 9


def match(features: Tensor, groups: list[int]) -> float:
    views, people = torch.eye(3)[:2], torch.tensor(groups)
    return losses.matching(
        features, views, people, views, people, 0.5, torch.ones(2), count=2
    ).item()


def test_matching_is_cross_entropy_against_other_people() -> None:
    right, swapped = torch.eye(3)[:2], torch.eye(3)[[1, 0]]
    assert match(right, [7, 8]) == pytest.approx(math.log(1 + math.exp(-2)))
    assert match(swapped, [7, 8]) == pytest.approx(math.log(1 + math.exp(2)))


def test_another_view_of_the_same_person_is_no_negative() -> None:
    assert match(torch.eye(3)[[1, 0]], [7, 7]) == pytest.approx(0.0)
