"""Draws people: a number gives who they are, an `Appearance` their expression and clothes."""

import io
from colorsys import hls_to_rgb
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

STYLE = "micah"
CANVAS = 360.0  # side of the drawing in its own units
# In these units: eyes, nose and corners of the mouth (5, 2), and the box of the head.
FACE_POINTS = np.array([[158, 148], [222, 138], [197, 172], [170, 201], [226, 205]], np.float64)
HEAD = np.array([92, 44, 268, 268], np.float64)
# The body of a person who looks to the right of the image; the far ear is hidden.
SHOULDERS, HIPS = ((62, 350), (292, 350)), ((92, 600), (262, 600))
NECK_POINT, EAR_POINT = (172, 292), (104, 176)

SKIN = ("#fbe0d0", "#f9c9b6", "#eab48c", "#d69b68", "#b97a4e", "#95583a", "#6f3a22", "#4b2616")
HAIR = ("#141414", "#4a2c1a", "#8a4b20", "#c8742e", "#e8c25a", "#f6efdc", "#9a9aa2", "#b3262a")
DYED = ("#3f6fd8", "#37b8c9", "#3f9e54", "#8b50c4", "#e76fa6")
METAL = ("#141414", "#f4d150", "#e8e8f0", "#c2302c", "#2f66c8", "#2c9a50")
SHIRTS = {
    "red": "#d8443c",
    "orange": "#ee9136",
    "yellow": "#f2d24a",
    "green": "#4da65a",
    "blue": "#4574d4",
    "purple": "#8f5cc8",
    "pink": "#f19abb",
    "white": "#f5f5f2",
    "grey": "#8b8f96",
    "black": "#26262b",
}
WALLS = {
    "white": "#eeeeea",
    "grey": "#a9b0b8",
    "blue": "#8fb4e0",
    "green": "#a5cf9b",
    "yellow": "#f3dd8d",
    "pink": "#efb9c4",
    "orange": "#eeb077",
    "dark": "#474c5c",
}
# Not dougFunny: three thin hairs do not tell people apart.
HAIR_STYLES = ("dannyPhantom", "fonze", "full", "mrClean", "mrT", "pixie", "turban")
MOUTHS = ("frown", "laughing", "nervous", "pucker", "sad", "smile", "smirk", "surprised")


class Appearance(NamedTuple):
    """What may differ between two images of a person."""

    mouth: str
    eyes_closed: bool
    brows_up: bool
    clothes: str
    shirt: str  # a name of SHIRTS
    mirrored: bool


class DrawnPerson(NamedTuple):
    """A person on a transparent square: `pixels` RGBA (S, S, 4) uint8.

    `keypoints` (5, 2), `box` of the head (4) and `pose` OpenPose (18, 3) are in pixels of the
    square.
    """

    pixels: np.ndarray
    keypoints: np.ndarray
    box: np.ndarray
    pose: np.ndarray


@lru_cache(maxsize=100_000)
def sample_identity(number: int) -> dict[str, Any]:
    """Return DiceBear's options of person `number`, all that stays the same between images."""
    random = np.random.default_rng([number, 20])

    def one_of(values: Any) -> Any:
        return values[int(random.integers(len(values)))]

    hair = one_of(HAIR) if random.random() < 0.75 else one_of(DYED)
    if random.random() < 0.25:  # any colour
        rgb = hls_to_rgb(random.random(), random.uniform(0.25, 0.75), random.uniform(0.2, 0.8))
        hair = "#" + "".join(f"{round(255 * c):02x}" for c in rgb)
    glasses, earrings = random.random() < 0.35, random.random() < 0.3
    facial = random.random() < 0.25
    return {
        "baseColor": [one_of(SKIN)],
        "hairVariant": [one_of(HAIR_STYLES)],
        "hairColor": [hair],
        "noseVariant": [one_of(("curve", "pointed", "tound"))],
        "earsVariant": [one_of(("attached", "detached"))],
        "glassesProbability": 100 * glasses,
        "glassesVariant": [one_of(("round", "square"))],
        "glassesColor": [one_of(METAL)],
        "earringsProbability": 100 * earrings,
        "earringsVariant": [one_of(("hoop", "stud"))],
        "earringColor": [one_of(METAL)],
        "facialHairProbability": 100 * facial,
        "facialHairVariant": [one_of(("beard", "scruff"))],
        "facialHairColor": [hair],
        "lashes": bool(random.random() < 0.4),
        "shadow": bool(random.random() < 0.3),
        "eyeShadowColor": [one_of(("#d2eff3", "#e0ddff", "#ffeba4", "#ffc0cb"))],
    }


def sample_appearance(random: np.random.Generator) -> Appearance:
    """Return a random expression, clothes and direction."""
    return Appearance(
        MOUTHS[int(random.integers(len(MOUTHS)))],
        bool(random.random() < 0.25),
        bool(random.random() < 0.5),
        ("collared", "crew", "open")[int(random.integers(3))],
        list(SHIRTS)[int(random.integers(len(SHIRTS)))],
        bool(random.random() < 0.5),
    )


def draw_person(number: int, appearance: Appearance, size: int) -> DrawnPerson:
    """Draw a person on a transparent square of `size` pixels."""
    import resvg_py
    from dicebear import Avatar
    from PIL import Image

    options = dict(sample_identity(number))
    lashes, shadow = options.pop("lashes"), options.pop("shadow")
    eyes = "smiling" if appearance.eyes_closed else "eyes"
    brows = "Up" if appearance.brows_up else "Down"
    options |= {
        "seed": str(number),
        "mouthVariant": [appearance.mouth],
        "eyesVariant": [eyes + "Shadow" * shadow],
        "eyebrowsVariant": [f"eyelashes{brows}" if lashes else brows.lower()],
        "clothesVariant": [appearance.clothes],
        "shirtColor": [SHIRTS[appearance.shirt]],
    }
    svg = str(Avatar(_load_style(), options))
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    pixels = np.array(image)
    scale = size / CANVAS
    keypoints, box, pose = FACE_POINTS * scale, HEAD * scale, _canvas_pose() * [scale, scale, 1]
    if appearance.mirrored:
        pixels = pixels[:, ::-1]
        keypoints = keypoints[[1, 0, 2, 4, 3]] * [-1, 1] + [size, 0]
        box = np.array([size - box[2], box[1], size - box[0], box[3]])
        pose = pose[_MIRRORED] * [-1, 1, 1] + [size, 0, 0]
        pose[pose[:, 2] == 0] = 0
    return DrawnPerson(np.ascontiguousarray(pixels), keypoints, box, pose)


@lru_cache(maxsize=1)
def _load_style() -> Any:
    import json
    from importlib import resources

    from dicebear import Style

    text = (resources.files("dicebear_styles") / f"{STYLE}.json").read_text("utf-8")
    return Style(json.loads(text))


def _canvas_pose() -> np.ndarray:
    points: dict[int, Any] = {0: FACE_POINTS[2], 1: NECK_POINT, 16: EAR_POINT}
    points |= {2: SHOULDERS[0], 5: SHOULDERS[1], 8: HIPS[0], 11: HIPS[1]}
    points |= {14: FACE_POINTS[0], 15: FACE_POINTS[1]}
    pose = np.zeros((18, 3))
    for joint, point in points.items():
        pose[joint] = [*point, 1.0]
    return pose


# Joints of a mirrored pose: left and right change places.
_MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]


def paste_person(image: Any, drawn: DrawnPerson, left: int, top: int) -> None:
    """Paste a drawn person on a PIL image, with the corner of the square at (left, top)."""
    from PIL import Image

    tile = Image.fromarray(drawn.pixels)
    image.paste(tile, (left, top), tile)
