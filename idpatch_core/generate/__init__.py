"""Makes many group photos on one ComfyUI or several: `python -m idpatch_core.generate`."""
