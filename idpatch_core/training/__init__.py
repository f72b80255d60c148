"""Trains ID-Patch: on one's own pictures and base model, from one CPU to many machines.

Install the extra `train`, then prepare the pictures once and train by a recipe:

    python -m idpatch_core.training.prepare PICTURES data/prepared --base models/sdxl-base \\
        --face-model models/recognition_arcface_ir_se50.pth
    accelerate launch -m idpatch_core.training idpatch_core/training/recipes/stage1.toml

`prepare --poses balanced` also finds the poses, with rtmlib (extra `poses`); otherwise they are
those of the pictures' JSON.

`recipes/` has the released recipe (Resampler and ControlNet, UNet frozen) and the paper's two
stages; `config.py` lists every setting. A setting can be changed behind the recipe:
`run.steps=1000`. The same command goes on where a killed run was. A run's folder holds

- `checkpoints/`: the last ones, with what learns, its moving averages, optimiser and random state;
- `tensorboard/`: losses, sample grids and the metrics on people who were not trained on;
- `export/`: `id-patch.safetensors` for Load ID-Patch Model (and `id-patch.bin`, the released
  layout), `ControlNetModel/` for Load ControlNet, and, if the UNet learnt, `unet/` or
  `unet_lora.safetensors`.

    python -m idpatch_core.training.validate runs/stage1 --pictures 500 --without patches
    python -m idpatch_core.training.export runs/stage1 FOLDER --step 20000 --dtype fp16

How it fits together: `sources` finds pictures, `prepare` does once what every step would repeat,
`data` makes batches that depend on the seed and the step alone, `networks` holds what learns and
what judges, `stages` says which parameters learn, `objective` sums the `losses`, `trainer` is the
loop, `sampling` is the reference's sampler and `evaluation` scores what it draws. `demo_world`
trains the whole method, from the VAE on, with drawn people on a CPU.

The tokens of the zero vector, which the negative branch sees, are learnt by dropping the token
path's feature with the probability `drop.tokens`; `drop.pose` trains one model to work with and
without skeletons; `projection.face_sized` makes each patch as large as the face that it is put on.

Distribution is accelerate's: `accelerate config` chooses DDP, FSDP (version 2) or DeepSpeed (ZeRO
stages 0 to 2). Whichever carries it, `checkpoints/` has what learns whole, and `export/` is the
same. The tests run all three with two processes on the CPU; DeepSpeed only where it is installed,
with `python3 -m tests --slow`.

With the UNet frozen, the ID tokens are the only reason to go back through its first half, on which
a ControlNet does not act; that is most of what a step costs more than a plain ControlNet step.
`run.token_gradient_every = 4` does so for every fourth batch and counts it four times, which is
right on average; the recipes with a frozen UNet have it. `tests/benchmarks/training.py` measures
it.
"""
