"""A face that YuNet finds, without a photograph."""

import cv2
import numpy as np


def drawn_face(width: int = 200, height: int = 168) -> np.ndarray:
    """A head with eyes, nose and mouth, well enough drawn for YuNet."""
    picture = np.full((height, width, 3), (200, 190, 180), np.uint8)
    cv2.ellipse(picture, (100, 84), (44, 58), 0, 0, 360, (224, 172, 140), -1)
    cv2.ellipse(picture, (100, 40), (46, 22), 0, 180, 360, (60, 40, 30), -1)
    for x in (82, 118):
        cv2.ellipse(picture, (x, 74), (9, 5), 0, 0, 360, (255, 255, 255), -1)
        cv2.circle(picture, (x, 74), 4, (30, 30, 30), -1)
        cv2.ellipse(picture, (x, 62), (11, 4), 0, 180, 360, (60, 40, 30), 3)
    cv2.line(picture, (100, 78), (95, 96), (180, 120, 90), 3)
    cv2.line(picture, (95, 96), (104, 97), (180, 120, 90), 3)
    cv2.ellipse(picture, (100, 114), (17, 7), 0, 0, 180, (150, 50, 50), 4)
    return cv2.GaussianBlur(picture, (5, 5), 0)
