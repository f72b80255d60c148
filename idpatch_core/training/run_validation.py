"""Validates the networks in training. Neither an error nor a lack of time in it ends the run."""

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from .config import Config
from .ema import EMA
from .export import rebuild_networks
from .frozen_networks import FrozenNetworks, load_scorer_network
from .networks import Networks
from .precision import autocast, cast_frozen
from .prepared_data import INDEX_FILE, PreparedData, read_training_records, split_folders
from .sharding import gather_tensors, is_sharded
from .stop_signal import StopSignal
from .time_share import TimeShare
from .trainable import named_weights
from .validation import Evaluation, ScoredImage, Validation, combine_scores


def load_evaluation_data(config: Config, report: Callable[[str], None]) -> PreparedData | None:
    """Return the data of the samples; None, with a report, if the folder has no images.

    Raises ValueError for a folder that was prepared and is damaged.
    """
    if not config.sampling.every:
        return None
    folders = split_folders(config.data.evaluation)
    for folder in folders:
        if not (folder / INDEX_FILE).is_file():
            report(f"data.evaluation: {folder} is not a prepared folder, so no samples are taken.")
            return None
    if not any(read_training_records(folder) for folder in folders):
        report(f"data.evaluation: {config.data.evaluation} has no images, so no samples are taken.")
        return None
    return PreparedData(config.data.evaluation)


class RunValidation:
    """Samples within the run's share of the time; each process makes a part of the images."""

    def __init__(
        self,
        accelerator: Any,
        config: Config,
        data: PreparedData,
        frozen: FrozenNetworks,
        alphas: Tensor,
        prediction_type: str,
        trainable: list[str],
        stop: StopSignal,
    ):
        self._accelerator, self._config = accelerator, config
        self._trainable, self._stop = trainable, stop
        self._validation = Validation(
            frozen.vae,
            load_scorer_network(config).to(accelerator.device),
            data,
            alphas,
            prediction_type,
            config.sampling,
        )
        self._share = TimeShare(config.sampling.max_share)

    def is_due(self, step: int) -> bool:
        """Return whether to sample after a step; all processes must call this."""
        if step % self._config.sampling.every:
            return False
        allowed = [self._share.allows_sampling()]
        return bool(broadcast_object_list(allowed)[0])

    def run(self, networks: Networks, ema: EMA | None) -> Evaluation | str:
        """Sample and score; return the evaluation, or why there is none.

        All processes must call this. With sharded networks only the main process samples, from a
        copy of them.
        """
        accelerator, scored, error = self._accelerator, None, ""
        self._share.begin()
        process, processes = accelerator.process_index, accelerator.num_processes
        weights = None
        if is_sharded(networks):
            weights = gather_tensors(
                ema.shadow if ema else named_weights(networks, self._trainable)
            )
            ema, processes = None, 1
        if process < processes:
            try:
                if weights is not None:
                    networks = self._rebuild(weights)
                scored = self._score(networks, ema, process, processes)
            except Exception:
                error = traceback.format_exc()
        del weights
        parts = gather_object([(scored, error)])[:processes]
        complete = all(part is not None for part, _ in parts)
        self._share.end(complete)
        if errors := [error for _, error in parts if error]:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return f"sampling failed, training continues.\n{errors[0]}"
        if not complete:
            return "sampling was put off: it would take more than sampling.max_share of the time."
        merged: dict[int, ScoredImage] = {}
        for part, _ in parts:
            merged |= part
        return combine_scores(merged)

    def _score(
        self, networks: Networks, ema: EMA | None, process: int, processes: int
    ) -> dict[int, ScoredImage] | None:
        networks.eval()
        try:
            with ema.applied(networks) if ema else nullcontext():
                return self._validation.score(
                    networks, lambda: autocast(self._accelerator), process, processes, self._proceed
                )
        finally:
            networks.train()

    def _proceed(self, done: int, total: int) -> bool:
        return not self._stop.received and self._share.allows_rest(done, total)

    def _rebuild(self, weights: dict[str, Tensor]) -> Networks:
        networks = rebuild_networks(weights, self._config)
        cast_frozen(networks, self._accelerator.mixed_precision)
        return networks.to(self._accelerator.device)
