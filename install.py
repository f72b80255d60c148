"""Run by ComfyUI-Manager after requirements.txt; by hand: python install.py."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("cv2") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "opencv-python-headless>=4.8"])
