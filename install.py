"""Run by ComfyUI-Manager after requirements.txt; by hand: python install.py."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("cv2") is None:
    command = [sys.executable, "-m", "pip", "install", "-q", "opencv-python-headless>=4.8"]
    subprocess.check_call(command)
