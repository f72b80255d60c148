"""IR-SE50, the face-recognition network whose embeddings condition ID-Patch.

References: "ArcFace" (Deng et al., CVPR 2019); the names of the entries are those of facexlib's
`recognition_arcface_ir_se50.pth` (facexlib/recognition/arcface_arch.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .alignment import CROP_SIZE
from .weights import check_finite, check_tensors, read_weights

# Channels into and out of each block. The first block and all that change the number of channels
# halve the width and height.
IR_SE50 = (
    *[(64, 64)] * 3,
    (64, 128),
    *[(128, 128)] * 3,
    (128, 256),
    *[(256, 256)] * 13,
    (256, 512),
    *[(512, 512)] * 2,
)
MAX_BLOCKS = 200  # of a file; IR-SE200 has 100
MAX_CHANNELS = 2048  # of a file; IR-SE200 has 512. A face takes 50 kB for each
SQUEEZE = 16  # of the channels, in the squeeze-and-excitation part
RELEASED_FILE = "recognition_arcface_ir_se50.pth"


class BatchNorm2d(nn.BatchNorm2d):
    """Casts its tensors if they are on another device or in another dtype than the input."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) if self.training else _normalise(self, input)


class BatchNorm1d(nn.BatchNorm1d):
    """Casts its tensors if they are on another device or in another dtype than the input."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) if self.training else _normalise(self, input)


def _normalise(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    assert norm.running_mean is not None and norm.running_var is not None
    mean, var = norm.running_mean.to(x), norm.running_var.to(x)
    return F.batch_norm(x, mean, var, norm.weight.to(x), norm.bias.to(x), eps=norm.eps)


class PReLU(nn.PReLU):
    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight.to(input))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, operations: Any):
        super().__init__()
        squeezed = max(channels // SQUEEZE, 1)
        self.fc1 = operations.Conv2d(channels, squeezed, 1, bias=False)
        self.fc2 = operations.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = x.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        scale = self.fc2(F.relu(self.fc1(scale)))  # (N, C, 1, 1)
        return x * torch.sigmoid(scale)


class Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, operations: Any):
        super().__init__()
        if channels == out:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                operations.Conv2d(channels, out, 1, stride, bias=False), BatchNorm2d(out)
            )
        self.res_layer = nn.Sequential(
            BatchNorm2d(channels),
            operations.Conv2d(channels, out, 3, 1, 1, bias=False),
            PReLU(out),
            operations.Conv2d(out, out, 3, stride, 1, bias=False),
            BatchNorm2d(out),
            SqueezeExcitation(out, operations),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)  # (N, out, H / stride, W / stride)


class IRSE50(nn.Module):
    """IR-SE50 or, with other blocks, a smaller network of its kind."""

    def __init__(
        self,
        blocks: Sequence[tuple[int, int]] = IR_SE50,
        width: int = 512,
        operations: Any = nn,
    ):
        super().__init__()
        first, last = blocks[0][0], blocks[-1][1]
        strides = [2 if i == 0 or c != out else 1 for i, (c, out) in enumerate(blocks)]
        side = CROP_SIZE
        for stride in strides:
            side = -(-side // stride)
        self.input_layer = nn.Sequential(
            operations.Conv2d(3, first, 3, 1, 1, bias=False), BatchNorm2d(first), PReLU(first)
        )
        self.body = nn.Sequential(
            *[Block(*b, stride, operations) for b, stride in zip(blocks, strides, strict=True)]
        )
        self.output_layer = nn.Sequential(
            BatchNorm2d(last),
            nn.Dropout(0.4),
            nn.Flatten(),
            operations.Linear(last * side * side, width),
            BatchNorm1d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (N, 512) of unit length of faces (N, 3, 112, 112), BGR in [-1, 1]."""
        # Channels-last images crash PyTorch 2.14's backward pass on the CPU.
        x = self.input_layer(x.contiguous())  # (N, 64, 112, 112)
        x = self.body(x)  # (N, 512, 7, 7)
        x = self.output_layer(x)  # (N, 512)
        return F.normalize(x, dim=-1)


def embed(network: nn.Module, crops: Tensor) -> Tensor:
    """Return the embeddings (N, 512) of unit length of aligned faces (N, 112, 112, 3) RGB.

    The values of the crops are from 0 to 255, in uint8 or in the dtype to compute in.
    """
    x = crops if crops.is_floating_point() else crops.float()
    return embed_pixels(network, x.permute(0, 3, 1, 2))


def embed_pixels(network: nn.Module, x: Tensor) -> Tensor:
    """Return the embeddings (N, 512) of aligned faces (N, 3, 112, 112) RGB, float in [0, 255]."""
    x = x.flip(1) / 127.5 - 1  # the network was trained on BGR
    cudnn = torch.backends.cudnn
    # By default cuDNN rounds float32 to TF32, which changes the third digit of an embedding.
    with cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=True, allow_tf32=False):
        return network(x)


def load_arcface(path: str | Path, operations: Any = nn) -> IRSE50:
    """Load face recognition from a .pth or .safetensors file; sizes are read from its tensors.

    `operations` is the namespace of the layers, ComfyUI's `comfy.ops` or torch.nn. The weights are
    converted to float32, which embeddings need to be exact to 1e-5. Raises ValueError if the file
    does not exist, is truncated, holds more than weights or values that are not finite, or holds
    another model.
    """
    path = Path(path)
    tensors = _read_tensors(path)
    try:
        blocks, width = _sizes(tensors)
    except (KeyError, IndexError):
        blocks, width = IR_SE50, 512
    with torch.device("meta"):
        expected = IRSE50(blocks, width).state_dict()
        network = IRSE50(blocks, width, operations)
    try:
        check_tensors(tensors, expected)
    except ValueError as error:
        raise ValueError(
            f"recognition: {path.name} holds another model than IR-SE50 face recognition: {error}. "
            f"Use {RELEASED_FILE} of facexlib; ID-Patch cannot use embeddings of other networks."
        ) from None
    # Copied, because the file may be replaced while it is in use; after all names and shapes fit.
    copy = {name: tensor.to(expected[name].dtype, copy=True) for name, tensor in tensors.items()}
    try:
        check_finite(copy)
    except ValueError as error:
        raise ValueError(f"recognition: {path.name}: {error} Download it again.") from None
    network.load_state_dict(copy, assign=True)
    return network.eval().requires_grad_(False)


def _sizes(tensors: Mapping[str, Tensor]) -> tuple[list[tuple[int, int]], int]:
    blocks = []
    while f"body.{len(blocks)}.res_layer.1.weight" in tensors and len(blocks) < MAX_BLOCKS:
        shape = tensors[f"body.{len(blocks)}.res_layer.1.weight"].shape
        blocks.append((shape[1], shape[0]))
    if not blocks or max(map(max, blocks)) > MAX_CHANNELS:
        raise KeyError
    return blocks, tensors["output_layer.3.weight"].shape[0]


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors, _ = read_weights(path)
        if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise ValueError("it holds other things than tensors.")
        return tensors
    except ValueError as error:
        raise ValueError(
            f"recognition: {path.name}: {error} Use {RELEASED_FILE} of facexlib."
        ) from error
