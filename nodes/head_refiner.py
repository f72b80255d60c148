"""Refines the heads of a batch of images, largest first, and compares them before and after."""

from collections.abc import Sequence

import comfy.model_management
import numpy as np
import torch
from torch import Tensor

from ..idpatch_core.canvas import LATENT_SCALE, Hint
from ..idpatch_core.head_crops import (
    ROOM,
    CroppedHead,
    HeadCrop,
    draw_head_mask,
    find_cropped_heads,
    plan_crop,
    resize_images,
    stitch_crop,
)
from ..idpatch_core.images import to_uint8
from ..idpatch_core.layout import has_same_aspect
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.refine import IF_BETTER, FaceCheck, Refinement, is_better
from .faces import FaceModel, encode_crops
from .head_sampler import HeadSampler, ShowStep, crop_hint, sample_heads, take_person
from .images import read_images
from .people_check import embed_identities
from .scorer import LoadedScorer

Heads = tuple[CroppedHead | None, ...]


def make_face_check(
    face_model: FaceModel, scorer: LoadedScorer | None, id_patches: IDPatches
) -> FaceCheck:
    """Return the check of faces by the scorer if there is one, else by the face model."""
    if scorer is not None:
        references = embed_identities(id_patches.people, scorer.scorer, "id_patches")
        return FaceCheck(scorer.detector.detect, scorer.scorer.embed, references)
    references = torch.stack([person.embedding for person in id_patches.people]).cpu().numpy()
    detect = face_model.detector.detect
    return FaceCheck(detect, lambda crops: encode_crops(face_model, crops).numpy(), references)


def check_refine_sizes(image: Tensor, id_hint: Hint, size: int, face_size: int) -> None:
    """Raise a ValueError unless the image has the hint's shape and a crop has room for a head."""
    height, width, channels = image.shape[1:]
    if channels not in (3, 4):
        raise ValueError(f"image: expected RGB, got {channels} channel. Convert it to RGB.")
    if not has_same_aspect((width, height), (id_hint.width, id_hint.height)):
        raise ValueError(
            f"image: it is {width}x{height}, which has a different aspect ratio from the hint of "
            f"{id_hint.width}x{id_hint.height}. Connect an image that was resized, but not cropped."
        )
    if size < ROOM * face_size:
        raise ValueError(
            f"crop_size: {size} is too small for a face {face_size} wide with room round it. Give "
            f"at least {-(-ROOM * face_size // LATENT_SCALE) * LATENT_SCALE}, or a smaller "
            "face_size."
        )
    if min(width, height) < LATENT_SCALE:
        raise ValueError(f"image: {width}x{height} is too small; a latent needs {LATENT_SCALE}.")


class HeadRefiner:
    """Refines the heads of the images of a batch."""

    def __init__(
        self,
        images: Tensor,
        id_hint: Hint,
        id_patches: IDPatches,
        check: FaceCheck,
        settings: HeadSampler,
        size: int,
        face_size: int,
    ):
        self.images = images.to("cpu", torch.float32, copy=True)
        self.hint, self.patches, self.check = id_hint, id_patches, check
        self.settings, self.size, self.face_size = settings, size, face_size
        self.height, self.width = images.shape[1:3]
        self.heads: list[Heads] = [self._find_heads(image) for image in self.images]

    def _find_heads(self, image: Tensor) -> Heads:
        # The skeletons say where the heads are; without them a detector does.
        pixels = read_images(image[None])[0]
        faces = self.check.detect(pixels) if self.hint.poses is None else []
        patch_size = self.patches.patches.shape[-1]
        return tuple(find_cropped_heads(self.hint, faces, self.width, self.height, patch_size))

    def _head(self, index: int, person: int) -> CroppedHead:
        head = self.heads[index][person]
        assert head is not None, "only people in the image are refined"
        return head

    def plan(self, index: int, person: int) -> HeadCrop:
        return plan_crop(
            self._head(index, person), self.width, self.height, self.size, self.face_size
        )

    def compare(self, image: Tensor, index: int, person: int) -> np.ndarray | None:
        """Return the cosine of each person with the face at a person's point, None without one."""
        head, crop = self._head(index, person), self.plan(index, person)
        return self.check.compare(
            to_uint8(self._enlarge(image[None], crop)[0]), crop.to_crop(head.point)
        )

    def _enlarge(self, images: Tensor, crop: HeadCrop) -> Tensor:
        part = crop.cut(images)[..., :3]
        return resize_images(part, crop.enlarged_width, crop.enlarged_height)

    def group(self, chosen: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
        """Return (person, images) to sample at once, the largest heads first.

        `chosen` are the people of each image. A person in images with the same heads is one batch.
        """
        groups: dict[tuple[int, Heads], list[int]] = {}
        for index, people in enumerate(chosen):
            for person in people:
                groups.setdefault((person, self.heads[index]), []).append(index)
        ordered = sorted(
            groups.items(), key=lambda group: -self._head(group[1][0], group[0][0]).eye_distance
        )
        return [(person, indices) for (person, _), indices in ordered]

    def refine_groups(
        self, groups: Sequence[tuple[int, list[int]]], keep: str, show_step: ShowStep
    ) -> list[Refinement]:
        """Refine (person, images) one after the other; errors name the person."""
        results: list[Refinement] = []
        for person, indices in groups:
            comfy.model_management.throw_exception_if_processing_interrupted()
            try:
                results += self.refine(person, indices, keep, show_step)
            except ValueError as error:
                raise ValueError(f"{self.patches.names[person]}: {error}") from error
        return results

    def refine(
        self, person: int, indices: list[int], keep: str, show_step: ShowStep
    ) -> list[Refinement]:
        """Refine one person's heads in some images; return what became of each."""
        head, crop = self._head(indices[0], person), self.plan(indices[0], person)
        one = take_person(self.patches, person)
        hint = crop_hint(self.hint, crop, head, one, self.width, self.height)
        pixels = self._enlarge(self.images[indices], crop)
        mask = draw_head_mask(crop, self.heads[indices[0]], person)
        refined = sample_heads(self.settings, pixels, hint, one, indices, mask > 0, show_step)
        results = []
        for index, new in zip(indices, refined, strict=True):
            stitched = stitch_crop(self.images[index], crop, new, mask)
            before, after = (
                None if similarity is None else float(similarity[person])
                for similarity in (
                    self.compare(image, index, person) for image in (self.images[index], stitched)
                )
            )
            kept = keep != IF_BETTER or is_better(before, after)
            if kept:
                self.images[index] = stitched
            results.append(Refinement(index, one.names[0], before, after, kept))
        return results
