"""YuNet in PyTorch, so that a loss can ask for a face and send gradients into the picture.

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
    """What the detector sees at each of A places of N pictures.

    `scores` (N, A) from 0 to 1; `boxes` (N, A, 4) left, top, right, bottom in pixels; `keypoints`
    (N, A, 5, 2) in pixels, in the order of `face_detector.Face`; `centres` (A, 2) in pixels.
    """

    scores: Tensor
    boxes: Tensor
    keypoints: Tensor
    centres: Tensor


class TorchYuNet(nn.Module):
    """Runs the ONNX file's graph of convolutions, poolings and upsamplings with torch's own.

    Raises ImportError without the onnx package, ValueError for a graph with other operators.
    """

    def __init__(self, path: Any = YUNET_FILE):
        super().__init__()
        import onnx
        from onnx import numpy_helper

        self._file = onnx.load(str(path))
        graph = self._file.graph
        constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        self._nodes = []
        self._stored = {name: name for name in constants}  # a weight's name in the file
        for node in graph.node:
            if node.op_type == "Reshape" and node.input[0] in constants:  # a weight's own shape
                weight, shape = (constants[name] for name in node.input)
                constants[node.output[0]] = weight.reshape(shape)
                self._stored[node.output[0]] = node.input[0]
            else:
                self._nodes.append(_read_node(node, constants))
        for name in {name for _, inputs, *_ in self._nodes for name in inputs[1:]}:
            if name in constants and constants[name].dtype.kind == "f":
                self.register_buffer(_key(name), torch.from_numpy(constants[name].copy()))
        self._input = graph.input[0].name
        self._outputs = [output.name for output in graph.output]

    def forward(self, pictures: Tensor) -> Candidates:
        """Look at pictures (N, 3, H, W), RGB from 0 to 1."""
        height, width = pictures.shape[2:]
        bgr = pictures.flip(1) * 255
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
        """Write the ONNX file again, with the weights as they are now."""
        import onnx
        from onnx import numpy_helper

        model = type(self._file)()
        model.CopyFrom(self._file)
        constants = {c.name: c for c in model.graph.initializer}
        for name, stored in self._stored.items():
            weight = getattr(self, _key(name), None)
            if isinstance(weight, Tensor):
                old = constants[stored]
                array = weight.detach().cpu().numpy().reshape(tuple(old.dims))
                old.CopyFrom(numpy_helper.from_array(array, stored))
        onnx.save(model, str(path))

    def _run(self, operator: str, inputs: list[str], settings: dict, values: dict) -> Tensor:
        x, *others = (values[n] if n in values else getattr(self, _key(n), None) for n in inputs)
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
        raise ValueError(f"detector: there is no {operator} in YuNet.")


OPERATORS = ("Conv", "Relu", "Sigmoid", "MaxPool", "Resize", "Add", "Transpose", "Reshape")


def _key(name: str) -> str:
    return "constant_" + name.replace(".", "_").replace("/", "_").replace(":", "_")


def _to(bias: Tensor | None, x: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(x)


def _read_node(node: Any, constants: dict) -> tuple[str, list[str], str, dict]:
    from onnx import helper

    if node.op_type not in OPERATORS:
        raise ValueError(f"detector: there is no {node.op_type} in YuNet; is this its ONNX file?")
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Reshape":
        settings["shape"] = constants[node.input[1]].tolist()
    return node.op_type, list(node.input), node.output[0], settings


def _decode(
    heads: list[Tensor], stride: int, columns: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn one level's heads (N, A, 1 | 1 | 4 | 10) into pixels."""
    face, there, box, keypoints = heads
    place = torch.arange(face.shape[1], device=face.device)
    cells = torch.stack([place % columns, place // columns], dim=-1).to(face)  # (A, 2)
    # The square root's slope is infinite at 0.
    scores = (face * there).squeeze(-1).clamp(1e-12, 1).sqrt()
    centre = (cells + box[..., :2]) * stride
    half = box[..., 2:].clamp(max=20).exp() * (stride / 2)
    points = (cells[:, None] + keypoints.unflatten(-1, (5, 2))) * stride
    return scores, torch.cat([centre - half, centre + half], dim=-1), points, cells * stride
