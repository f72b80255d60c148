"""A custom node folder that teaches ComfyUI to load the stand-in models.

ComfyUI recognises an SDXL file by its full-size shapes. The tests link this folder beside the
real pack, so that stand-ins of a few megabytes load through the stock loader nodes. Its one node
gives wrong values to others.
"""

from .anything import Anything
from .tiny_sdxl import register

register()

NODE_CLASS_MAPPINGS = {"TestAnything": Anything}
