"""The demo: a real ComfyUI, prepared, started and asked for a picture."""
