"""A custom node folder without nodes: it switches dynamic VRAM on in a server on the CPU."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import dynamic_vram

dynamic_vram.switch(True)

NODE_CLASS_MAPPINGS = {}
