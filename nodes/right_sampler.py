"""Samples an image until each person in it is right, and refines those who are not."""

from typing import Any, NamedTuple

import comfy.model_management
import comfy.sd
import torch
from torch import Tensor

from ..idpatch_core.injection import Conditioning
from ..idpatch_core.layout import is_inside
from ..idpatch_core.refine import IF_BETTER, FaceCheck
from ..idpatch_core.tries import Try, describe_outcome, describe_tries, find_best_try, next_seed
from ..idpatch_core.verification.faults import Fault, find_faults
from .group_sampler import GroupSampler, apply_preset, sample_group
from .head_refiner import HeadRefiner, check_refine_sizes
from .head_sampler import HeadSampler, ShowStep, remove_gate
from .images import read_images, save_temporary
from .people_check import PeopleCheck, prepare_check
from .scorer import LoadedScorer


class HeadSettings(NamedTuple):
    """How people who are wrong are refined: the sampler, and the sizes of crops and faces."""

    sampler: HeadSampler
    check: FaceCheck
    crop_size: int
    face_size: int


class RightImage(NamedTuple):
    """The best image (1, H, W, 3) of its tries, of which `best` is the index."""

    image: Tensor
    tries: list[Try]
    best: int
    warnings: list[str]

    @property
    def is_right(self) -> bool:
        return not self.tries[self.best].faults


class RightSampler(NamedTuple):
    """Samples images until each person is right.

    Without `heads` no one is refined, and each further try is another image.
    """

    group: GroupSampler
    vae: comfy.sd.VAE
    check: PeopleCheck
    heads: HeadSettings | None
    least_similarity: float
    limit: int

    def count_steps(self) -> int:
        """Return the steps of an image if every try fails."""
        steps = apply_preset(self.group).steps
        if self.heads is not None:
            placed = sum(point is not None for point in self.check.points)
            steps += self.heads.sampler.steps * placed
        return steps * self.limit

    def sample(self, seed: int, show_step: ShowStep) -> RightImage:
        """Return the first image that is right, or the best of `limit` images.

        Each further image takes the next seed.
        """
        images: list[Tensor] = []
        tries: list[Try] = []
        warnings: list[str] = []

        def add(image: Tensor, number: int, refined: tuple[str, ...] = ()) -> list[Fault]:
            comfy.model_management.throw_exception_if_processing_interrupted()
            verdict = self.check.verify(read_images(image)[0])
            faults = find_faults(verdict, self.least_similarity)
            images.append(image)
            tries.append(Try(number, seed, refined, tuple(faults), verdict.scores))
            return faults

        for number in range(1, self.limit + 1):
            sampled = sample_group(self.group, seed, show_step=show_step)
            warnings = sampled.warnings
            image = self.vae.decode(sampled.latent["samples"]).to("cpu", torch.float32)
            faults = add(image, number)
            wrong = sorted({fault.person for fault in faults if fault.at_placement})
            if wrong and self.heads is not None:
                refined = self._refine(image, wrong, seed, show_step)
                names = tuple(self.check.names[person] for person in wrong)
                faults = add(refined, number, names)
            if not faults:
                break
            seed = next_seed(seed)
        best = find_best_try(tries)
        return RightImage(images[best], tries, best, warnings)

    def sample_batch(self, seed: int, batch_size: int, show_step: ShowStep) -> list[RightImage]:
        """Return several images, each with the seeds that follow those of the one before."""
        made: list[RightImage] = []
        for _ in range(batch_size):
            made.append(self.sample(seed, show_step))
            seed = next_seed(made[-1].tries[-1].seed)
        return made

    def _refine(self, image: Tensor, people: list[int], seed: int, show_step: ShowStep) -> Tensor:
        assert self.heads is not None
        sampler, check, *sizes = self.heads
        sampler = sampler._replace(seed=seed)
        hint, patches = self.group.id_hint, self.group.id_patches
        refiner = HeadRefiner(image, hint, patches, check, sampler, *sizes)
        refiner.refine_groups(refiner.group([people]), IF_BETTER, show_step)
        return refiner.images


def prepare_group_check(group: GroupSampler, scorer: LoadedScorer) -> PeopleCheck:
    """Return the check of the group's images.

    Raises ValueError if no one has a placement in the image.
    """
    hint = group.id_hint
    people = group.id_patches.people
    check = prepare_check(people, hint, scorer, hint.width, hint.height, "id_patches")
    if not any(point and is_inside(point, hint.width, hint.height) for point in check.points):
        raise ValueError(
            "id_hint: no one has a placement in the image, so there is no one to check. Place the "
            "people in the Patch Placer."
        )
    return check


def prepare_heads(
    group: GroupSampler,
    one_person: Conditioning,
    vae: comfy.sd.VAE,
    scorer: LoadedScorer,
    check: PeopleCheck,
    steps: int,
    denoise: float,
    crop_size: int,
    face_size: int,
) -> HeadSettings:
    """Return how people of the group are refined, with its own networks and settings."""
    image = group.id_hint.image.movedim(1, -1)  # of the size of the images
    check_refine_sizes(image, group.id_hint, crop_size, face_size)
    sampler = HeadSampler(
        remove_gate(group.model),
        one_person,
        group.negative,
        vae,
        group.control_net,
        0,
        steps,
        group.cfg,
        group.sampler_name,
        group.scheduler,
        denoise,
        group.control_strength,
        group.guide_patches,
    )
    compare = FaceCheck(scorer.detector.detect, scorer.scorer.embed, check.references)
    return HeadSettings(sampler, compare, crop_size, face_size)


def show_images(made: list[RightImage], limit: int) -> dict[str, Any]:
    """Return what the node shows: each image, and the findings of its tries."""
    shown = [
        {
            "outcome": describe_outcome(one.tries, limit),
            "tries": describe_tries(one.tries),
            "best": one.best,
        }
        for one in made
    ]
    previews = [save_temporary("right", read_images(one.image)[0], ".jpg") for one in made]
    return {"images": previews, "animated": (False,), "idpatch_tries": shown}
