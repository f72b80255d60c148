"""A small world of drawn people in which the whole method can be trained on a CPU.

The people are drawn by DiceBear in the style Micah: a remix of "Avatar Illustration System" by
Micah Lanier, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Needs the packages
dicebear-core, dicebear-styles and resvg-py.

    python -m idpatch_core.demo_world FOLDER

makes pictures, trains a face detector, two face encoders, a VAE, text encoders with a UNet, and the
projections with a ControlNet in three stages, and exports them; killed and started again it goes
on. All networks have SDXL's structure, with smaller numbers.
"""
