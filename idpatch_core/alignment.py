"""Aligns a face: five keypoints to the 112 x 112 crop that face recognition takes."""

import numpy as np

from .opencv import check_image, import_cv2

CROP_SIZE = 112
# The keypoints of an aligned crop: ArcFace's template (insightface/utils/face_align.py).
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],  # left eye
        [73.5318, 51.5014],  # right eye
        [56.0252, 71.7366],  # nose
        [41.5493, 92.3655],  # left corner of the mouth
        [70.7299, 92.2041],  # right corner of the mouth
    ],
    dtype=np.float64,
)


def align_face(image: np.ndarray, keypoints: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """Rotate, scale and crop a face so that its keypoints match ArcFace's template.

    `image` (H, W, 3) uint8; `keypoints` (5, 2) pixels in the order of `Face.keypoints`. Returns
    (size, size, 3) uint8, black outside the image. Equal to insightface's `norm_crop`.
    """
    check_image(image)
    cv2 = import_cv2()
    matrix = similarity_transform(keypoints, TEMPLATE * (size / CROP_SIZE))
    return cv2.warpAffine(image, matrix, (size, size), borderValue=0.0)


def share_outside(size: tuple[int, int], keypoints: np.ndarray) -> float:
    """Return the share of a face's aligned crop that lies outside an image of (width, height)."""
    cv2 = import_cv2()
    to_image = cv2.invertAffineTransform(similarity_transform(keypoints, TEMPLATE))
    x, y = np.meshgrid(np.arange(CROP_SIZE), np.arange(CROP_SIZE))
    points = np.stack([x.ravel(), y.ravel()], axis=1) @ to_image[:, :2].T + to_image[:, 2]
    inside = (points >= 0) & (points <= np.array(size) - 1)
    return float(1 - inside.all(axis=1).mean())


def roll_of(keypoints: np.ndarray) -> float:
    """Return by how many degrees a face (5, 2) is turned clockwise in the image, -180 to 180."""
    x, y = keypoints[1] - keypoints[0]
    return float(np.degrees(np.arctan2(y, x)))


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Estimate the rotation, uniform scale and translation that map points onto others.

    Both (N, 2); returns the least-squares matrix (2, 3) (Umeyama 1991, equations 40 to 42).
    Raises ValueError if the points are not finite or all coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or not np.isfinite(source).all():
        raise ValueError(f"keypoints: expected {target.shape} finite numbers, got {source}.")
    mean_x, mean_y = source.mean(0), target.mean(0)
    x, y = source - mean_x, target - mean_y
    variance = (x**2).sum(1).mean()
    if variance == 0:
        raise ValueError(f"keypoints: all of them are the same point, {source[0]}.")
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirroring
    rotation = u @ np.diag(s) @ vt
    scale = (d * s).sum() / variance
    return np.column_stack([scale * rotation, mean_y - scale * rotation @ mean_x])
