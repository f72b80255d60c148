"""Joins the ID tokens to the text, from a boundary of the noise schedule on."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .identity import MAX_TOKEN_STRENGTH, check_not_empty
from .layout import count_people
from .projection import IDPatches
from .region_gate import TOKENS, TokenLayout

Options = dict[str, Any]
Conditioning = list[list[Any]]  # [text (B, N, C), options] each
Split = Callable[[Options], tuple[Options | None, Options | None]]

# If the boundary falls on a step, that step already sees the tokens, as in the reference with
# `i < steps * (1 - ratio)`. The offset exceeds rounding error and is far below one step.
BOUNDARY_OFFSET = 1e-5

INJECTED = "idpatch_people"  # marks an entry that carries ID tokens, with the number of people
CLIP = ("clip_start_percent", "clip_end_percent")
RANGE = ("start_percent", "end_percent")
SIGMAS = ("timestep_start", "timestep_end")
LONGEST_REPEAT = 4  # ComfyUI repeats a text up to so often to make it as long as another


def first_injection_step(steps: int, injection_ratio: float) -> int:
    """Return the first step (0-based) that sees the ID tokens; `steps` if none does.

    Source: `pipeline_idpatch_sd_xl.py` of the reference, with its own float arithmetic.
    """
    return next((i for i in range(steps) if not i < steps * (1 - injection_ratio)), steps)


def injection_percent(injection_ratio: float) -> float:
    """Return the share of the noise schedule, 0 to 1, after which the ID tokens are seen."""
    if injection_ratio >= 1:
        return 0.0
    if injection_ratio <= 0:
        return 1.0
    return max(1 - injection_ratio - BOUNDARY_OFFSET, 0.0)


def injection_sigma(sigmas: Sequence[float], first: int, preferred: float) -> float:
    """Return a sigma between the steps `first - 1` and `first` of a descending schedule.

    It is `preferred` if that lies between them, so that both routes also agree where a sampler
    evaluates the model between two steps. Infinity means all steps, 0 none. Where a schedule
    repeats a sigma, all steps at it see the tokens.
    """
    if first == 0:
        return math.inf
    if first >= len(sigmas) - 1:
        return 0.0
    above, below = sigmas[first - 1], sigmas[first]
    if above <= below:
        return below * (1 + 1e-6)  # the next float32, or a few further
    return preferred if below < preferred < above else (above + below) / 2


def join_tokens(text: Tensor, tokens: Tensor) -> Tensor:
    """Append the ID tokens (F, T, C) of all people, in order, to the text tokens (B, N, C)."""
    flat = tokens.reshape(1, -1, tokens.shape[-1]).to(text)  # (1, F*T, C)
    return torch.cat([text, flat.expand(text.shape[0], -1, -1)], dim=1)  # (B, N + F*T, C)


def scale_tokens(tokens: Tensor, zero_tokens: Tensor, strengths: Sequence[float]) -> Tensor:
    """Scale each person's ID tokens (F, T, C) away from the zero-vector tokens.

    A strength of 0 removes the person, 1 keeps the tokens (bit for bit), more exaggerates them.
    """
    scaled = tokens.clone()
    for person, strength in enumerate(strengths):
        if strength != 1:
            scaled[person] = torch.lerp(zero_tokens[person], tokens[person], strength)
    return scaled


def split_at(boundary: float, percent_to_sigma: Callable[[float], float] | None = None) -> Split:
    """Split an entry's part of the noise schedule at a boundary.

    The boundary is a share of the schedule from 0 to 1, or an exact sigma if `percent_to_sigma` is
    given. A share is written as the entry's `clip_` range, which ComfyUI intersects with the range
    of Conditioning (Set Timestep Range), wherever that stands. An entry that lies on one side of
    the boundary is kept as it is.
    """

    def split(options: Options) -> tuple[Options | None, Options | None]:
        if percent_to_sigma is None:
            (first, last), sign, others = CLIP, 1, options
            start, end = options.get(first, 0.0), options.get(last, 1.0)
        else:  # sigmas descend
            (first, last), sign = SIGMAS, -1
            start, end = find_sigmas(options, percent_to_sigma)
            others = {key: value for key, value in options.items() if key not in CLIP + RANGE}
        if sign * boundary <= sign * start:
            return None, options
        if sign * boundary >= sign * end:
            return options, None
        return {**others, first: start, last: boundary}, {**others, first: boundary, last: end}

    return split


def find_sigmas(
    options: Options, percent_to_sigma: Callable[[float], float]
) -> tuple[float, float]:
    """Return the sigmas between which ComfyUI uses an entry, the larger one first.

    Source: `calculate_start_end_timesteps` of ComfyUI's samplers.py: a range in shares, where there
    is one, replaces exact sigmas.
    """
    start, end = options.get(SIGMAS[0], math.inf), options.get(SIGMAS[1], 0.0)
    if CLIP[0] in options or RANGE[0] in options:
        share = max(options.get(key, 0.0) for key in (CLIP[0], RANGE[0]))
        start = float(percent_to_sigma(share))
    if CLIP[1] in options or RANGE[1] in options:
        share = min(options.get(key, 1.0) for key in (CLIP[1], RANGE[1]))
        end = float(percent_to_sigma(share))
    return start, end


def check_ranges(name: str, conditioning: Conditioning) -> None:
    """Raise a ValueError if an entry of the input `name` is limited to exact sigmas.

    Only the noise schedule of a model could tell on which side of a share they lie.
    """
    for _, options in conditioning:
        replaced = {*options, *(RANGE if CLIP[0] in options else ())}
        if any(
            exact in options and share not in replaced
            for exact, share in zip(SIGMAS, RANGE, strict=True)
        ):
            raise ValueError(
                f"{name}: it is limited to a range of sigmas, which the ID Token Injector cannot "
                "split at a share of the schedule. Use the ID-Patch Sampler, or set the range with "
                "Conditioning (Set Timestep Range)."
            )


def inject(conditioning: Conditioning, tokens: Tensor, split: Split) -> Conditioning:
    """Split each entry into one with the text and the ID tokens and one with the text alone.

    `tokens` (F, T, C). The entry with the tokens comes first, since Conditioning (Concat) and
    Conditioning (Average) read the first entry of their second input only. All else that an entry
    carries (pooled text, ControlNets, masks, areas, hooks) is kept on both sides; a separate text
    for the ControlNet gets the tokens as well.
    """
    out: Conditioning = []
    for text, options in conditioning:
        before, after = split(options)
        if after is not None:
            layout = TokenLayout(text.shape[1], tokens.shape[1], tokens.shape[0])
            after = {**after, INJECTED: tokens.shape[0], TOKENS: layout}
            if after.get("cross_attn_controlnet") is not None:
                after["cross_attn_controlnet"] = join_tokens(after["cross_attn_controlnet"], tokens)
            out.append([join_tokens(text, tokens), after])
        if before is not None:
            out.append([text, before])
    return out


def is_one_batch(first: int, second: int) -> bool:
    """Return whether ComfyUI runs texts of these lengths as one batch.

    Source: `CONDCrossAttn.can_concat` of ComfyUI's conds.py. Both texts are repeated to their least
    common multiple, which leaves the attention as it is.
    """
    return math.lcm(first, second) // min(first, second) <= LONGEST_REPEAT


def warn_of_lengths(positive: Conditioning, negative: Conditioning) -> str:
    """Return a warning if texts with ID tokens cannot run as one batch, otherwise an empty string.

    Nothing but texts of equal length would help: to repeat the shorter text alone changes its
    weight against the ID tokens, and to repeat it together with them gives a common length only
    for people in multiples of 77.
    """
    lengths = [
        [text.shape[1] for text, options in branch if INJECTED in options]
        for branch in (positive, negative)
    ]
    for length in lengths[0]:
        if lengths[1] and not any(is_one_batch(length, other) for other in lengths[1]):
            return (
                f"positive, negative: with the ID tokens they have {length} and {lengths[1][0]} "
                "tokens, which ComfyUI cannot run as one batch: from the boundary on it runs the "
                "UNet and the ControlNet twice in each step. The image stays the same, a step "
                "takes longer. To avoid it, write two prompts of about the same length (each 75 "
                "tokens of a prompt make 77)."
            )
    return ""


def inject_both(
    positive: Conditioning,
    negative: Conditioning,
    id_patches: IDPatches,
    token_strength: float,
    split: Split,
) -> tuple[Conditioning, Conditioning]:
    """Inject the people's tokens into the positive branch, zero-vector tokens into the negative.

    `token_strength` multiplies that of each person. Raises ValueError if there are no people, if
    the strength is out of range, or if the text does not fit or carries ID tokens already.
    """
    check_not_empty("id_patches", id_patches.people)
    if not 0 <= token_strength <= MAX_TOKEN_STRENGTH:
        raise ValueError(
            f"token_strength: it must be from 0 to {MAX_TOKEN_STRENGTH:g}, got {token_strength:g}."
        )
    for name, conditioning in (("positive", positive), ("negative", negative)):
        check_text(name, conditioning, id_patches.tokens)
    zero = id_patches.zero_tokens
    strengths = [person.token_strength * token_strength for person in id_patches.people]
    tokens = scale_tokens(id_patches.tokens, zero, strengths)
    return inject(positive, tokens, split), inject(negative, zero, split)


def check_text(name: str, conditioning: Conditioning, tokens: Tensor) -> None:
    """Raise a ValueError if the text of the input `name` cannot be joined with the ID tokens."""
    if not conditioning:
        raise ValueError(f"{name}: the conditioning is empty. Connect a CLIP Text Encode.")
    for text, options in conditioning:
        if text.shape[-1] != tokens.shape[-1]:
            raise ValueError(
                f"{name}: its text tokens are {text.shape[-1]} wide, the ID tokens "
                f"{tokens.shape[-1]}. ID-Patch works with SDXL: encode the text with the CLIP of "
                "an SDXL checkpoint."
            )
        if INJECTED in options:
            raise ValueError(
                f"{name}: it already carries the ID tokens of {count_people(options[INJECTED])}. "
                "Connect the text conditioning from before the ID Token Injector."
            )
