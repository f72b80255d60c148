"""Metrics of whole images: FID and KID, and CLIP similarity to the prompt."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..verification.assignment import cosine

KEPT_FEATURES = 5000  # of the images of a set, for KID
FID_IMAGES = 10_000  # from which FIDs are usually compared


def find_inception_weights() -> Path | None:
    """Return the InceptionV3 weights of torch-fidelity if they are in torch's hub folder."""
    name = "weights-inception-2015-12-05-6726825d.pth"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return path if path.is_file() else None


class ImageFeatures(NamedTuple):
    """The features (D) of N images: their mean, their covariance, and a part of them for KID."""

    count: int
    mean: np.ndarray  # (D)
    covariance: np.ndarray  # (D, D)
    kept: np.ndarray  # (n, D), at most KEPT_FEATURES


def load_feature_network(weights: Path) -> nn.Module:
    """Load InceptionV3 with torch-fidelity's weights: images (N, 3, H, W) uint8 to (N, 2048).

    Raises ValueError without torchmetrics.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError:
        raise ValueError(
            "FID needs torchmetrics and torch-fidelity: pip install torchmetrics torch-fidelity"
        ) from None
    torch.load(weights, weights_only=True)  # torch-fidelity would run a pickle's code
    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(weights))
    network = metric.inception
    assert isinstance(network, nn.Module)
    return network


@torch.inference_mode()
def collect_features(images: Iterable[Tensor], network: nn.Module) -> ImageFeatures:
    """Return the features of images, each (3, H, W) uint8; memory does not grow with their number.

    Of many images every second, fourth, … is kept for KID, evenly over all of them.
    Raises ValueError for fewer than two images.
    """
    count, stride = 0, 1
    total, products, kept = np.zeros(0), np.zeros((0, 0)), []
    for image in images:
        feature = network(image[None])[0].cpu().double().numpy()
        if not count:
            total, products = np.zeros(len(feature)), np.zeros((len(feature),) * 2)
        if count % stride == 0:
            kept.append(feature.astype(np.float32))
            if len(kept) > KEPT_FEATURES:
                kept, stride = kept[::2], 2 * stride
        total += feature
        products += np.outer(feature, feature)
        count += 1
    if count < 2:
        raise ValueError(f"FID: expected at least two images on each side, got {count}.")
    mean = total / count
    covariance = (products - count * np.outer(mean, mean)) / (count - 1)
    return ImageFeatures(count, mean, covariance, np.stack(kept))


def compute_fid(real: ImageFeatures, generated: ImageFeatures) -> float:
    """Return the Fréchet inception distance, |μr - μg|² + tr(Σr + Σg - 2 (Σr Σg)^½).

    Source: Heusel et al., arXiv 1706.08500.
    """
    eigenvalues = np.linalg.eigvals(real.covariance @ generated.covariance)
    root = np.real(np.sqrt(eigenvalues.astype(np.complex128)).sum())
    traces = np.trace(real.covariance) + np.trace(generated.covariance)
    return float(((real.mean - generated.mean) ** 2).sum() + traces - 2 * root)


def compute_kid(real: ImageFeatures, generated: ImageFeatures) -> float:
    """Return the kernel inception distance: the unbiased squared MMD with (x·y / D + 1)³.

    Its expectation does not depend on the number of images. Source: Bińkowski et al., arXiv
    1801.01401, eq. 4, on all kept images at once instead of the mean over subsets.
    """
    x, y = real.kept.astype(np.float64), generated.kept.astype(np.float64)
    n, m = len(x), len(y)
    within = [
        (_kernel_sum(z, z) - (((z**2).sum(axis=1) / z.shape[1] + 1) ** 3).sum())
        / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    return float(sum(within) - 2 * _kernel_sum(x, y) / (n * m))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    """Return Σ (x_i · y_j / D + 1)³ over all pairs."""
    parts = (x[start : start + 1000] for start in range(0, len(x), 1000))
    return float(sum(((part @ y.T / x.shape[1] + 1) ** 3).sum() for part in parts))


def warn_of_few_images(system: str, real: ImageFeatures, generated: ImageFeatures) -> str:
    """Return a notice if there are too few images for a FID that can be compared; else nothing."""
    fewest = min(real.count, generated.count)
    if fewest >= FID_IMAGES:
        return ""
    return (
        f"FID for {system} is from {real.count} real and {generated.count} generated images: with "
        f"fewer than {FID_IMAGES} it is biased upwards, more so the fewer there are, and must not "
        "be compared with that of other numbers. Compare KID, which is not biased."
    )


def load_clip_similarity(directory: str | Path) -> Callable[[np.ndarray, str], float]:
    """Return the function cos(CLIP(image), CLIP(text)) of a local CLIP model.

    `directory` holds a Hugging Face CLIP model, or is the name of one in the local cache; nothing
    is downloaded. The function takes an image (H, W, 3) uint8 RGB and a text, truncated to CLIP's
    limit. Raises ValueError if there is no such model. Source: Hessel et
    al., arXiv 2104.08718, as the plain cosine (CLIP-T).
    """
    try:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

        model = CLIPModel.from_pretrained(str(directory), local_files_only=True).eval()
        tokenize = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
        process = AutoImageProcessor.from_pretrained(str(directory), local_files_only=True)
    except ImportError:
        raise ValueError("CLIP similarity needs transformers: pip install transformers") from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No CLIP model at {directory}. Give a folder with a Hugging Face CLIP model, for "
            f"example a copy of openai/clip-vit-base-patch16. ({error})"
        ) from None

    @torch.inference_mode()
    def similarity(image: np.ndarray, text: str) -> float:
        tokens = tokenize([text], return_tensors="pt", padding=True, truncation=True)
        output = model(**tokens, **process([image], return_tensors="pt"))
        return float(cosine(output.image_embeds, output.text_embeds)[0, 0])

    return similarity
