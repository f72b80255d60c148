"""TensorBoard gets the curves, the samples and the metrics."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_world import train_tiny


def test_samples_and_metrics_reach_tensorboard(world: dict[str, str], tmp_path: Path):
    data, sampling = {"evaluation": world["evaluation"]}, {"every": 1, "images": 2, "steps": 2}
    run = {"steps": 1, "ema_decay": 0.5}
    output = train_tiny(world, tmp_path, data=data, sampling=sampling, run=run)
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    scalars = events.Tags()["scalars"]
    assert {"train/denoising", "train/learning_rate"} <= set(scalars)
    assert {"evaluation/accuracy_2", "evaluation/similarity_2_high"} <= set(scalars)
    assert events.Tags()["images"] == ["samples"]
    assert events.Scalars("train/denoising")[0].step == 1
