"""A face detector with the inputs and outputs of insightface's SCRFD, and one fixed face.

It finds its face in every image except those that are more blue than red.
"""

from pathlib import Path

import numpy as np

# In pixels of its 640 x 640 input; with other inputs they grow or shrink with it.
BOX = (100.0, 80.0, 228.0, 240.0)
KEYPOINTS = ((130.0, 140.0), (190.0, 138.0), (160.0, 170.0), (135.0, 205.0), (185.0, 203.0))
SCORE = 0.9
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
scrfd (float[1, 3, H, W] image) => (
    float[A, 1] score_8, float[B, 1] score_16, float[C, 1] score_32,
    float[A, 4] box_8, float[B, 4] box_16, float[C, 4] box_32,
    float[A, 10] points_8, float[B, 10] points_16, float[C, 10] points_32
)
<float[1, 1] score = {{{score}}}, float[1, 4] box = {{{box}}}, float[1, 10] points = {{{points}}}>
{{
    size = Shape <start = 2> (image)
    one = Constant <value_ints = [1]> ()
    height = Shape <start = 2, end = 3> (image)
    height_f = Cast <to = 1> (height)
    full = Constant <value_floats = [640.0]> ()
    scale = Div (height_f, full)
    scaled_box = Mul (box, scale)
    scaled_points = Mul (points, scale)
    means = ReduceMean <axes = [0, 2, 3], keepdims = 0> (image)
    first, second, third = Split (means)
    red = GreaterOrEqual (first, third)
    red_f = Cast <to = 1> (red)
    red_score = Mul (score, red_f)
    {rest}
}}
"""
# At each stride two anchors for every cell; that of the face is the first of stride 8.
CELLS = """
    stride_{s} = Constant <value_ints = [{s}]> ()
    cells_{s} = Div (size, stride_{s})
    two_{s} = Constant <value_ints = [2]> ()
    area_{s} = ReduceProd <keepdims = 1> (cells_{s})
    all_{s} = Mul (area_{s}, two_{s})
    count_{s} = {count}
"""
NOTHING = """
    {kind}_width_{s} = Constant <value_ints = [{width}]> ()
    {kind}_shape_{s} = Concat <axis = 0> (count_{s}, {kind}_width_{s})
    {target} = ConstantOfShape ({kind}_shape_{s})
"""


def write_detector(path: Path) -> Path:
    """Write the detector as an ONNX file."""
    import onnx.checker
    import onnx.parser

    rest = ""
    faces = {"score": (1, "red_score"), "box": (4, "scaled_box"), "points": (10, "scaled_points")}
    for s in (8, 16, 32):
        count = "Sub (all_8, one)" if s == 8 else f"Identity (all_{s})"
        rest += CELLS.format(s=s, count=count)
        for kind, (width, face) in faces.items():
            target = f"{kind}_zeros" if s == 8 else f"{kind}_{s}"
            rest += NOTHING.format(s=s, kind=kind, width=width, target=target)
            if s == 8:
                rest += f"    {kind}_8 = Concat <axis = 0> ({face}, {kind}_zeros)\n"
    left, top, right, bottom = BOX  # distances from that anchor, which is at 0, 0
    graph = GRAPH.format(
        score=SCORE,
        box=", ".join(str(d / 8) for d in (-left, -top, right, bottom)),
        points=", ".join(str(d / 8) for d in np.ravel(KEYPOINTS)),
        rest=rest,
    )
    model = onnx.parser.parse_model(graph)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def write_other_network(path: Path) -> Path:
    """Write a network that takes aligned faces: no detector."""
    import onnx.parser

    head = '<ir_version: 8, opset_import: ["" : 17]>'
    body = "w600k (float[1, 3, 112, 112] face) => (float[1, 37632] e) { e = Flatten (face) }"
    onnx.save(onnx.parser.parse_model(head + body), str(path))
    return path
