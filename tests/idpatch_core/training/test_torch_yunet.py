"""YuNet in PyTorch equals OpenCV's with the ONNX file, and has gradients."""

import cv2
import numpy as np
import torch
from photos import drawn_face

from idpatch_core.face_detector import YUNET_FILE
from idpatch_core.training.torch_yunet import TorchYuNet


def test_same_face_as_opencv():
    image = drawn_face()  # its size is no multiple of 32
    opencv = cv2.FaceDetectorYN.create(str(YUNET_FILE), "", (200, 168), 0.3)
    rows = opencv.detect(np.ascontiguousarray(image[..., ::-1]))[1]
    candidates = TorchYuNet()(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    best = int(candidates.scores[0].argmax())
    assert rows is not None
    assert abs(candidates.scores[0, best].item() - rows[0, 14]) < 1e-4
    box = np.concatenate([rows[0, :2], rows[0, :2] + rows[0, 2:4]])
    np.testing.assert_allclose(candidates.boxes[0, best].numpy(), box, atol=1e-2)
    np.testing.assert_allclose(
        candidates.keypoints[0, best].numpy(), rows[0, 4:14].reshape(5, 2), atol=1e-2
    )


def test_gradients_reach_the_face():
    image = (torch.from_numpy(drawn_face()).permute(2, 0, 1)[None] / 255).requires_grad_()
    detector = TorchYuNet()
    detector(image).scores.max().backward()
    assert image.grad is not None
    face, corner = image.grad[0, :, 60:120, 70:130], image.grad[0, :, :10, :10]
    assert face.abs().mean() > 10 * corner.abs().mean()
    assert not list(detector.parameters())  # the weights are constants
