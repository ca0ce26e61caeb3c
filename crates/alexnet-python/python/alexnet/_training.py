"""Training runs with callbacks and progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alexnet import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Unpack

    from alexnet._native import TrainEvent, TrainResult, _Path, _TrainSettings


def train(
    data: _Path | None = None,
    *,
    callbacks: Iterable[Callable[[TrainEvent], object]] = (),
    progress: bool = True,
    **settings: Unpack[_TrainSettings],
) -> TrainResult:
    """Trains a network, or fine-tunes one, and returns where the models are.

    Ctrl-C and a callback that returns False stop the run after the current step, with everything saved; `resume` continues it
    to the same bytes.

    Args:
        data: training images: a folder per class, or any other layout that `alexnet train --data` reads; None: the built-in
            synthetic set of ten shapes.
        callbacks: functions that are called with every `TrainEvent`.
        progress: whether progress is shown: a line in a terminal, a table in a notebook.
        val: validation images; without them, a part of the training images.
        data_classes: file with the class names in label order, for images with numbers as labels.
        val_share: fraction of the training images used for validation if `val` is not given.
        net: name of a network (`alexnet.networks()`).
        recipe: name of a recipe, a recipe file, or the folder of a run.
        set: changes of the recipe's keys, such as ["momentum=0.8"].
        optimizer, epochs, batch, lr, image_size, seed: as in `alexnet train`.
        minutes: time in which the run ends, instead of a number of epochs.
        from_: model file or published weights to fine-tune.
        labels: class names for `from_`: a file, or "imagenet".
        freeze: layers to freeze, such as "conv1-conv5,fc6".
        lr_times: learning-rate multipliers, such as "head=10,conv1-conv5=0.1".
        precision: "f32" or "bf16".
        threads: number of threads, which does not affect results; 0: one per core.
        out: run folder, new or empty; without it, runs/NET-1 or the next free number.
        resume: folder of a run to continue, without `data`.
        max_steps: most steps, counted from the start of the run.
        class_weights: "auto", "none", or a file with a class and its weight per line.
        balanced: whether every epoch draws the same number of images of each class.
        patience: epochs without a better one after which the run ends.

    Returns:
        A `TrainResult`: `alexnet.load(result.best)` opens the best model.
    """
    followers = list(callbacks)
    if progress:
        from alexnet._progress import Progress

        followers.insert(0, Progress())

    def callback(event: TrainEvent) -> bool | None:
        # All of them see the event, even if one wants to stop.
        return False if any([follower(event) is False for follower in followers]) else None

    return _native.train(data, callback=callback if followers else None, **settings)
