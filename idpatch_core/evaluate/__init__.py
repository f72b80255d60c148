"""Evaluates group photos of any system: `python -m idpatch_core.evaluate`."""
