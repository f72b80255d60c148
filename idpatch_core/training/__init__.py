"""Trains ID-Patch on your own images and base model. `README.md` in this folder describes it."""
