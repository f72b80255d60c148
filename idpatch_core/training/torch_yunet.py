"""YuNet in PyTorch, for a face-detection loss with gradients to the image.

The weights are read from the in-tree ONNX file. Reference: Wu et al., "YuNet: A Tiny
Millisecond-level Face Detector", Machine Intelligence Research 2023; the decoding of boxes is that
of OpenCV's `FaceDetectorYN` (modules/objdetect/src/face_detect.cpp).
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..face_detector import YUNET_FILE

STRIDES = (8, 16, 32)


class Candidates(NamedTuple):
    """The detector's output at A points of each of N images.

    `scores` (N, A) from 0 to 1; `boxes` (N, A, 4) left, top, right, bottom in pixels; `keypoints`
    (N, A, 5, 2) in pixels, in the order of `face_detector.Face`; `centres` (A, 2) in pixels.
    """

    scores: Tensor
    boxes: Tensor
    keypoints: Tensor
    centres: Tensor


class TorchYuNet(nn.Module):
    """Runs the graph of YuNet's ONNX file with torch's operators.

    Raises ImportError without the onnx package, ValueError for operators other than YuNet's.
    """

    def __init__(self, path: Any = YUNET_FILE):
        super().__init__()
        import onnx
        from onnx import numpy_helper

        self._file = onnx.load(str(path))
        graph = self._file.graph
        constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        self._nodes = []
        self._stored = {name: name for name in constants}  # by the name in the graph
        for node in graph.node:
            if node.op_type == "Reshape" and node.input[0] in constants:  # of a weight
                weight, shape = (constants[name] for name in node.input)
                constants[node.output[0]] = weight.reshape(shape)
                self._stored[node.output[0]] = node.input[0]
            else:
                self._nodes.append(_read_node(node, constants))
        # In the graph's order, so that training is the same in every process.
        for name in dict.fromkeys(name for _, inputs, *_ in self._nodes for name in inputs[1:]):
            if name in constants and constants[name].dtype.kind == "f":
                self.register_buffer(_buffer_name(name), torch.from_numpy(constants[name].copy()))
        self._input = graph.input[0].name
        self._outputs = [output.name for output in graph.output]

    def forward(self, images: Tensor) -> Candidates:
        """Detect faces in images (N, 3, H, W), RGB from 0 to 1."""
        height, width = images.shape[2:]
        bgr = images.flip(1) * 255
        bgr = F.pad(bgr, (0, -width % 32, 0, -height % 32))  # as OpenCV does
        values = {self._input: bgr}
        for operator, inputs, output, settings in self._nodes:
            values[output] = self._run(operator, inputs, settings, values)
        heads = [values[name] for name in self._outputs]
        parts = [
            _decode(heads[level::3], stride, bgr.shape[3] // stride)
            for level, stride in enumerate(STRIDES)
        ]
        scores, boxes, keypoints, centres = zip(*parts, strict=True)
        return Candidates(
            torch.cat(scores, 1), torch.cat(boxes, 1), torch.cat(keypoints, 1), torch.cat(centres)
        )

    def write(self, path: Path) -> None:
        """Write the ONNX file with the current weights."""
        import onnx
        from onnx import numpy_helper

        model = type(self._file)()
        model.CopyFrom(self._file)
        constants = {c.name: c for c in model.graph.initializer}
        for name, stored in self._stored.items():
            weight = getattr(self, _buffer_name(name), None)
            if isinstance(weight, Tensor):
                old = constants[stored]
                array = weight.detach().cpu().numpy().reshape(tuple(old.dims))
                old.CopyFrom(numpy_helper.from_array(array, stored))
        onnx.save(model, str(path))

    def _run(self, operator: str, inputs: list[str], settings: dict, values: dict) -> Tensor:
        x, *others = (
            values[n] if n in values else getattr(self, _buffer_name(n), None) for n in inputs
        )
        assert isinstance(x, Tensor)
        match operator:
            case "Conv":
                weight, bias = others[0], others[1] if len(others) > 1 else None
                pads, groups = settings.get("pads", [0, 0, 0, 0]), settings.get("group", 1)
                stride = settings.get("strides", [1, 1])
                return F.conv2d(x, weight.to(x), _to(bias, x), stride, pads[:2], groups=groups)  # pyright: ignore[reportOptionalMemberAccess]
            case "Relu":
                return F.relu(x)
            case "Sigmoid":
                return torch.sigmoid(x)
            case "MaxPool":
                return F.max_pool2d(x, settings["kernel_shape"], settings["strides"])
            case "Resize":
                return F.interpolate(x, scale_factor=2.0, mode="nearest")
            case "Add":
                return x.add(others[0])  # pyright: ignore[reportArgumentType]
            case "Transpose":
                return x.permute(settings["perm"])
            case "Reshape":
                return x.reshape([len(x), *settings["shape"][1:]])
        raise ValueError(f"detector: YuNet has no operator {operator}.")


OPERATORS = ("Conv", "Relu", "Sigmoid", "MaxPool", "Resize", "Add", "Transpose", "Reshape")


def _buffer_name(name: str) -> str:
    return "constant_" + name.replace(".", "_").replace("/", "_").replace(":", "_")


def _to(bias: Tensor | None, x: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(x)


def _read_node(node: Any, constants: dict) -> tuple[str, list[str], str, dict]:
    from onnx import helper

    if node.op_type not in OPERATORS:
        raise ValueError(
            f"detector: it has the operator {node.op_type}, which YuNet does not. Use YuNet's ONNX "
            "file."
        )
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Reshape":
        settings["shape"] = constants[node.input[1]].tolist()
    return node.op_type, list(node.input), node.output[0], settings


def _decode(
    heads: list[Tensor], stride: int, columns: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the candidates in pixels of one level's heads (N, A, 1 | 1 | 4 | 10)."""
    classes, objects, box, keypoints = heads
    index = torch.arange(classes.shape[1], device=classes.device)
    cells = torch.stack([index % columns, index // columns], dim=-1).to(classes)  # (A, 2)
    # The gradient of the square root is infinite at 0.
    scores = (classes * objects).squeeze(-1).clamp(1e-12, 1).sqrt()
    centre = (cells + box[..., :2]) * stride
    half = box[..., 2:].clamp(max=20).exp() * (stride / 2)
    points = (cells[:, None] + keypoints.unflatten(-1, (5, 2))) * stride
    return scores, torch.cat([centre - half, centre + half], dim=-1), points, cells * stride
