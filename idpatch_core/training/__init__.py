"""Trains ID-Patch: on one's own pictures and base model, from one CPU to many machines."""
