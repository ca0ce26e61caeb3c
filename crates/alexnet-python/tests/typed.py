"""Calls that mypy checks against the stubs; nothing runs them."""

from pathlib import Path

import numpy
from numpy.typing import NDArray

import alexnet


def calls(model: alexnet.Model, image: NDArray[numpy.uint8], tensor: NDArray[numpy.float32]) -> list[str]:
    one: list[alexnet.Prediction] = model.predict(b"")
    several: list[list[alexnet.Prediction]] = model.predict([image, "a.jpg", Path("b.jpg"), b""], top=3, crops=10)
    features: NDArray[numpy.float32] = model.features(tensor, layer="fc6")
    heat: NDArray[numpy.float32] = model.explain.cam(image, "cat", method="layer-cam")
    drawn: NDArray[numpy.uint8] = model.explain.overlay("a.jpg", heat)
    weights: NDArray[numpy.float32] = model.state_dict(names="alexnet")["conv1.weight"]
    distance: float = alexnet.lpips("a.png", image) + alexnet.Lpips("a.pth", None)(drawn, drawn)

    def stop(event: alexnet.TrainEvent) -> bool:
        return event.kind != "epoch" or (event.val_top1 or 0) < 0.9

    result = alexnet.train("images", callbacks=[stop, print], epochs=3, from_=Path("a.pth"))
    best: Path = result.best
    estimator = alexnet.AlexNetClassifier("torchvision", image_size=64).fit([image], ["cat"])
    probabilities: NDArray[numpy.float64] = estimator.predict_proba([image])
    print(features, weights, distance, best, probabilities)
    return [p.label for p in one] + [p.label for many in several for p in many]
