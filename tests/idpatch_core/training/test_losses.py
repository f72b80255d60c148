"""The losses against their formulas, on values computed by hand."""

import math

import pytest
import torch
from torch import Tensor

from idpatch_core.training import losses
from idpatch_core.training.torch_yunet import Candidates

ALPHAS = torch.tensor([0.9, 0.5, 0.01])


@pytest.mark.parametrize("prediction_type", [losses.EPSILON, losses.VELOCITY])
def test_a_perfect_prediction_recovers_x0(prediction_type: str):
    x0, noise = torch.randn(2, 3, 4, 5, 6).unbind()
    noisy = losses.add_noise(x0, noise, ALPHAS)
    perfect = losses.prediction_target(x0, noise, ALPHAS, prediction_type)
    torch.testing.assert_close(
        losses.estimate_x0(noisy, perfect, ALPHAS, prediction_type), x0, atol=1e-5, rtol=0
    )


def test_min_snr_limits_the_weight_of_low_noise():
    # SNR 9, 1 and 1/99
    weights = losses.min_snr_weights(ALPHAS, 5.0, losses.EPSILON)
    torch.testing.assert_close(weights, torch.tensor([5 / 9, 1.0, 1.0]))
    weights = losses.min_snr_weights(ALPHAS, 5.0, losses.VELOCITY)
    torch.testing.assert_close(weights, torch.tensor([5 / 10, 1 / 2, 1 / 100]))
    assert losses.min_snr_weights(ALPHAS, 0.0, losses.EPSILON).tolist() == [1, 1, 1]


def test_denoising_weighs_levels_and_pixels():
    target = torch.zeros(2, 1, 1, 2)
    prediction = torch.tensor([[[[1.0, 3.0]]], [[[2.0, 0.0]]]])
    plain = losses.denoising(prediction, target, torch.tensor([1.0, 0.5]))
    assert plain.item() == pytest.approx((5 + 0.5 * 2) / 2)
    weight_map = torch.tensor([1.5, 0.5]).view(1, 1, 1, 2)
    weighted = losses.denoising(prediction, target, torch.ones(2), weight_map)
    assert weighted.item() == pytest.approx(((1.5 + 4.5) / 2 + (6 / 2)) / 2)


def test_the_weight_map_is_higher_inside_boxes():
    boxes = torch.tensor([[[0.0, 0.0, 16.0, 8.0]]])  # the first two of four latent pixels
    weight_map = losses.face_weight_map(boxes, (1, 4), 8, weight=3.0)
    assert weight_map.flatten().tolist() == pytest.approx([1.6, 1.6, 0.4, 0.4])


def test_identity_is_one_minus_cosine_by_noise_level():
    embeddings, references = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = losses.identity(embeddings, references, torch.tensor([0.7, 0.2]), count=4)
    assert loss.item() == pytest.approx(0.2 / 4)


def one_candidate(score: float, box: list[float]) -> Candidates:
    unused = torch.zeros(1, 1, 5, 2)
    return Candidates(torch.tensor([[score]]), torch.tensor([[box]]), unused, unused[0, :, 0])


def test_detection_requires_a_certain_face_of_the_right_size():
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])

    def loss(score: float, found: list[float]) -> float:
        return losses.detection(one_candidate(score, found), box, torch.ones(1), 1).item()

    assert loss(0.5, [0, 0, 10, 10]) == pytest.approx(math.log(2), abs=1e-3)
    assert loss(1.0, [0, 0, 10, 5]) == pytest.approx(math.log(2), abs=1e-3)
    assert loss(1.0, [5, 0, 15, 10]) == pytest.approx(math.log(3), abs=1e-3)
    assert loss(1.0, [20, 0, 30, 10]) > 9


def matching_loss(embeddings: Tensor, groups: list[int]) -> float:
    views, people = torch.eye(3)[:2], torch.tensor(groups)
    return losses.matching(
        embeddings, views, people, views, people, 0.5, torch.ones(2), count=2
    ).item()


def test_matching_is_cross_entropy_against_other_people():
    right, swapped = torch.eye(3)[:2], torch.eye(3)[[1, 0]]
    assert matching_loss(right, [7, 8]) == pytest.approx(math.log(1 + math.exp(-2)))
    assert matching_loss(swapped, [7, 8]) == pytest.approx(math.log(1 + math.exp(2)))


def test_another_view_of_the_same_person_is_not_a_negative():
    assert matching_loss(torch.eye(3)[[1, 0]], [7, 7]) == pytest.approx(0.0)
