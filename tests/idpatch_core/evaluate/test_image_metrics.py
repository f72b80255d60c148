import json

import numpy as np
import pytest
import torch

from idpatch_core.evaluate import image_metrics
from idpatch_core.evaluate.image_metrics import (
    collect_features,
    compute_fid,
    compute_kid,
    load_clip_similarity,
    warn_of_few_images,
)


class Colours(torch.nn.Module):
    """Mean colour as the features of a image."""

    num_features = 3

    def forward(self, images):
        return images.float().mean((2, 3))


def draw_images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 200, (30, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return real, torch.randint(50, 255, (20, 3, 8, 8), dtype=torch.uint8, generator=generator)


def test_fid_equals_the_formula_and_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from scipy.linalg import sqrtm

    real, made = draw_images()
    means, covariances = [], []
    for images in (real, made):
        features = images.double().mean((2, 3)).numpy()
        means.append(features.mean(0))
        covariances.append(np.cov(features, rowvar=False))
    root = np.real(np.asarray(sqrtm(covariances[0] @ covariances[1])))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    own = compute_fid(collect_features(real, Colours()), collect_features(made, Colours()))
    assert own == pytest.approx(expected, rel=1e-4)
    metric = fid.FrechetInceptionDistance(feature=Colours())
    metric.update(real, real=True)
    metric.update(made, real=False)
    assert own == pytest.approx(float(metric.compute()), rel=1e-4)


def test_kid_equals_that_of_torchmetrics():
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    real, made = (images[:20] for images in draw_images())
    metric = kid.KernelInceptionDistance(feature=Colours(), subsets=1, subset_size=20)
    metric.update(real, real=True)
    metric.update(made, real=False)
    own = compute_kid(collect_features(real, Colours()), collect_features(made, Colours()))
    assert own == pytest.approx(float(metric.compute()[0]), rel=1e-3)


def test_the_features_of_many_images_are_kept_in_part(monkeypatch):
    monkeypatch.setattr(image_metrics, "KEPT_FEATURES", 8)
    real, _ = draw_images()
    features = collect_features(real, Colours())
    means = real.double().mean((2, 3)).numpy()
    assert features.count == 30
    np.testing.assert_allclose(features.kept, means[::4], rtol=1e-6)
    np.testing.assert_allclose(features.mean, means.mean(0))
    np.testing.assert_allclose(features.covariance, np.cov(means, rowvar=False))


def test_a_distance_of_few_images_has_a_warning():
    features = collect_features(draw_images()[0], Colours())
    assert "biased upwards" in warn_of_few_images("ours", features, features)
    assert not warn_of_few_images("ours", *[features._replace(count=10_000)] * 2)


def test_fid_of_one_image_is_refused():
    with pytest.raises(ValueError, match="at least two images on each side, got 1"):
        collect_features([torch.zeros(3, 8, 8, dtype=torch.uint8)], Colours())


def test_clip_model_that_is_not_there_is_not_downloaded(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(ValueError, match=r"No CLIP model at .*nothing"):
        load_clip_similarity(tmp_path / "nothing")


@torch.inference_mode()
def test_clip_similarity_is_the_cosine_of_both_embeddings(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    save_tiny_clip(transformers, tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    similarity = load_clip_similarity(tmp_path)(image, "a b")

    model = transformers.CLIPModel.from_pretrained(tmp_path)
    process = transformers.CLIPImageProcessor.from_pretrained(tmp_path)
    pixels = process([image], return_tensors="pt").pixel_values
    seen = model.visual_projection(model.vision_model(pixels).pooler_output)
    tokens = torch.tensor([[4, 2, 3, 5]])
    read = model.text_projection(model.text_model(tokens).pooler_output)
    assert similarity == pytest.approx(float(torch.cosine_similarity(seen, read)), abs=1e-5)


def save_tiny_clip(transformers, directory):
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
