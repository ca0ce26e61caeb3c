"""AlexNet on a plain CPU: predictions, features, explanations, perceptual distances and training.

    import alexnet
    model = alexnet.load("best.safetensors")
    print(model.predict("cat.jpg"))

The images of a call may be paths, bytes of image files, PIL images, arrays of H x W x 3 uint8, folders, or several of these.
NumPy is imported when the first array is needed, so that `import alexnet` takes a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alexnet._distance import lpips
from alexnet._native import (
    AlexNetError,
    Explain,
    Lpips,
    Model,
    Prediction,
    TrainEvent,
    TrainResult,
    __version__,
    encode_png,
    image_files,
    load,
    networks,
)
from alexnet._training import train

if TYPE_CHECKING:
    from alexnet._sklearn import AlexNetClassifier

__all__ = [
    "AlexNetClassifier",
    "AlexNetError",
    "Explain",
    "Lpips",
    "Model",
    "Prediction",
    "TrainEvent",
    "TrainResult",
    "__version__",
    "encode_png",
    "image_files",
    "load",
    "lpips",
    "networks",
    "train",
]


def __getattr__(name: str) -> Any:
    # Needs scikit-learn, whose import takes a second.
    if name == "AlexNetClassifier":
        from alexnet._sklearn import AlexNetClassifier

        return AlexNetClassifier
    raise AttributeError(f"module 'alexnet' has no attribute {name!r}")
