"""A scikit-learn classifier of images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy
from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

import alexnet


class AlexNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """AlexNet with scikit-learn's `fit`, `predict`, `predict_proba` and `score`.

    X is an array of N x H x W x 3 uint8, or a sequence of images in any form that `Model.predict` takes; y has a label for each.

    Args:
        net: name of a network (`alexnet.networks()`).
        image_size: rows and columns of its input, in pixels; None: the network's own.
        epochs, batch, lr, recipe: as in `alexnet.train`; None: the recipe's.
        from_: model file or published weights to fine-tune, which also give the network.
        val_share: fraction of the images held out to choose the best epoch; 0: the last epoch is used.
        crops: crops of an image in predictions, 1 or 10.
        random_state: seed of the training, an integer.
        threads: number of threads, which does not affect results; 0: one per core.
        settings: further settings of `alexnet.train`.
        verbose: whether progress is shown.

    Attributes:
        classes_: the labels, sorted.
        model_: the trained `alexnet.Model`; its classes have the indices of `classes_` as names.
        model_bytes_: its file, so that a fitted classifier can be pickled.
    """

    def __init__(
        self,
        net: str = "torchvision",
        *,
        image_size: int | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        lr: float | None = None,
        recipe: str | None = None,
        from_: Any = None,
        val_share: float = 0.1,
        crops: int = 1,
        random_state: int = 0,
        threads: int = 0,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.net = net
        self.image_size = image_size
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.recipe = recipe
        self.from_ = from_
        self.val_share = val_share
        self.crops = crops
        self.random_state = random_state
        self.threads = threads
        self.settings = settings
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        tags.non_deterministic = False
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> AlexNetClassifier:
        """Trains on images X with labels y."""
        check_classification_targets(y)
        labels = numpy.asarray(y)
        images = list(X)
        if labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(f"expected a label for each of {len(images)} images, got labels of shape {labels.shape}")
        self.classes_, indices = numpy.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"expected at least two classes, got {len(self.classes_)}")
        with tempfile.TemporaryDirectory(prefix="alexnet-") as folder:
            data = Path(folder) / "images"
            _write(data, images, indices, len(self.classes_))
            settings: dict[str, Any] = dict(self.settings or {})
            if self.from_ is None:
                settings.setdefault("net", self.net)
            result = alexnet.train(
                data,
                image_size=self.image_size,
                epochs=self.epochs,
                batch=self.batch,
                lr=self.lr,
                recipe=self.recipe,
                from_=self.from_,
                val_share=self.val_share,
                seed=self.random_state,
                threads=self.threads,
                out=Path(folder) / "run",
                progress=self.verbose,
                **settings,
            )
            file = result.best if self.val_share and result.best.exists() else result.last
            self.model_bytes_ = file.read_bytes()
        self.__dict__.pop("_opened", None)
        return self

    @property
    def model_(self) -> alexnet.Model:
        """The trained model."""
        check_is_fitted(self, "model_bytes_")
        model: alexnet.Model | None = self.__dict__.get("_opened")
        if model is None:
            with tempfile.TemporaryDirectory(prefix="alexnet-") as folder:
                file = Path(folder) / "model.safetensors"
                file.write_bytes(self.model_bytes_)
                # The file stays mapped after it has been removed.
                model = self.__dict__["_opened"] = alexnet.load(file, threads=self.threads)
        return model

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_opened"}

    def predict_proba(self, X: Any) -> numpy.typing.NDArray[numpy.float64]:
        """Probabilities of the classes, N x len(classes_), in the order of `classes_`."""
        # A set sorts its class folders by name, which the padded indices are.
        return self.model_.probabilities(X, crops=self.crops)

    def predict(self, X: Any) -> Any:
        """The most probable label of each image."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def features(self, X: Any, layer: str = "fc7") -> numpy.typing.NDArray[numpy.float32]:
        """Activations of a layer, as `Model.features`."""
        return self.model_.features(X, layer=layer)


def _write(folder: Path, images: list[Any], indices: Any, classes: int) -> None:
    """Writes images as PNG files in one folder per class, named by its index."""
    digits = len(str(classes - 1))
    for i, (image, index) in enumerate(zip(images, indices, strict=True)):
        of_class = folder / f"{index:0{digits}}"
        of_class.mkdir(parents=True, exist_ok=True)
        if isinstance(image, (str, Path)):
            source = Path(image)
            (of_class / f"{i:08}{source.suffix.lower()}").write_bytes(source.read_bytes())
        else:
            (of_class / f"{i:08}.png").write_bytes(alexnet.encode_png(image))
