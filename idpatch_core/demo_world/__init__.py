"""A small world of drawn people in which the whole method is trained from scratch, on a CPU.

    python -m idpatch_core.demo_world FOLDER

draws scenes, trains a face detector, two face encoders, a VAE, text encoders with a UNet, and the
projections with a ControlNet in three stages, and exports them. An interrupted run resumes. All
networks have SDXL's structure in a smaller size. README.md lists the files and the steps.

The people are drawn by DiceBear in the style Micah: a remix of "Avatar Illustration System" by
Micah Lanier, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Needs the packages
dicebear-core, dicebear-styles and resvg-py.
"""
