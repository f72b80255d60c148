"""The demo: makes a group photo in a ComfyUI that it prepares and starts itself."""
