"""LPIPS between two images, with the opened weights kept for the next call."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from alexnet._native import Lpips

if TYPE_CHECKING:
    from alexnet._native import _Image, _Path


@functools.lru_cache(maxsize=4)
def _opened(model: str, linear: str | None, _process: int) -> Lpips:
    return Lpips(model, linear)


def lpips(
    a: _Image, b: _Image, *, model: _Path = "torchvision", linear: _Path | None = "lpips", size: int | None = None
) -> float:
    """Perceptual distance between two images (LPIPS 0.1, AlexNet), 0 for equal ones.

    Args:
        a, b: images of the same size, at least 31 x 31 pixels: paths, bytes, PIL images or arrays of H x W x 3 uint8.
        model: torchvision's AlexNet in any format; a file, or the name of published weights.
        linear: the package's linear heads (`lpips/weights/v0.1/alex.pth`), or the published name "lpips"; None: equal weight
            for every channel, as with `lpips=False` in the package.
        size: resizes both images to size x size pixels first (short side, then centre crop).

    `alexnet.Lpips(model, linear)` opens the weights once for many calls; this function keeps those of the last four models.
    """
    opened = _opened(os.fspath(model), None if linear is None else os.fspath(linear), os.getpid())
    return opened(a, b, size)
