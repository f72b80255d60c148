"""ONNX networks for rtmlib: the detector always finds two people, in fixed boxes.

The pose network puts each keypoint at a fixed point of the box.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from idpatch_core.training.pose_estimator import DETECTOR_FILE, POSE_FILE

DETECTOR_SIDE = 64  # pixels of the detector's input
POSE_WIDTH, POSE_HEIGHT = 48, 64  # of the pose network's input
BOXES = [[4, 10, 28, 60], [36, 10, 60, 60]]  # pixels of the detector's input
NOSE_POINT = 0.5, 0.25  # in the pose network's input, normalised


def write_network(file: Path, size: tuple[int, int], outputs: dict[str, np.ndarray]) -> None:
    """Write an ONNX network that returns `outputs` for each image of (height, width)."""
    constants = [
        numpy_helper.from_array(value.astype(np.float32), f"{name}_value")
        for name, value in outputs.items()
    ]
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name in outputs]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])]
    results = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in outputs.items()
    ]
    graph = helper.make_graph(nodes, "test", inputs, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(file))


def write_pose_models(folder: Path) -> Path:
    """Write both networks; return the folder."""
    boxes = np.array([[[*box, 0.9] for box in BOXES]])
    write_network(folder / DETECTOR_FILE, (DETECTOR_SIDE, DETECTOR_SIDE), {"boxes": boxes})
    x, y = np.zeros((1, 17, 2 * POSE_WIDTH)), np.zeros((1, 17, 2 * POSE_HEIGHT))
    for joint in range(17):
        x[0, joint, round(2 * POSE_WIDTH * NOSE_POINT[0])] = 0.8
        y[0, joint, round(2 * POSE_HEIGHT * min(NOSE_POINT[1] + 0.03 * joint, 0.9))] = 0.8
    write_network(folder / POSE_FILE, (POSE_HEIGHT, POSE_WIDTH), {"simcc_x": x, "simcc_y": y})
    return folder
