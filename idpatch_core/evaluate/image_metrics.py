"""Metrics of whole images: FID, and CLIP similarity to the prompt."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..verification.assignment import cosine


def find_inception_weights() -> Path | None:
    """Return the InceptionV3 weights of torch-fidelity if they are in torch's hub folder."""
    name = "weights-inception-2015-12-05-6726825d.pth"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return path if path.is_file() else None


def compute_fid(
    real: Iterable[Tensor], generated: Iterable[Tensor], feature: str | Path | nn.Module
) -> float:
    """Return the Fréchet inception distance between two sets of images.

    |μr - μg|² + tr(Σr + Σg - 2 (Σr Σg)^½) over features of the images, each (3, H, W) uint8.
    `feature` is the file of torch-fidelity's InceptionV3 weights, which torchmetrics reads, or any
    network from images (N, 3, H, W) to features (N, D). Raises ValueError without torchmetrics or
    with fewer than two images on a side. Source: Heusel et al., arXiv 1706.08500.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError:
        raise ValueError(
            "FID needs torchmetrics and torch-fidelity: pip install torchmetrics torch-fidelity"
        ) from None
    if isinstance(feature, torch.nn.Module):
        metric = FrechetInceptionDistance(feature=feature)
    else:
        torch.load(feature, weights_only=True)  # torch-fidelity would run a pickle's code
        metric = FrechetInceptionDistance(feature_extractor_weights_path=str(feature))
    counts = []
    for images, are_real in ((real, True), (generated, False)):
        count = 0
        for image in images:
            metric.update(image[None], real=are_real)
            count += 1
        counts.append(count)
    if min(counts) < 2:
        raise ValueError(
            f"FID: expected at least two images on each side, got {counts[0]} real and "
            f"{counts[1]} generated."
        )
    return float(metric.compute())


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
