"""The extension module of `alexnet`, which re-exports it."""

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, final, overload

import numpy
from numpy.typing import NDArray

class _PilImage(Protocol):
    """A PIL image."""

    @property
    def mode(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def convert(self, mode: str) -> Any: ...
    def getexif(self) -> Any: ...

class _Tensor(Protocol):
    """What NumPy makes an array of, such as a PyTorch tensor."""

    def __array__(self) -> NDArray[Any]: ...

_Path: TypeAlias = str | PathLike[str]
_File: TypeAlias = _Path | bytes | _PilImage
_Image: TypeAlias = _File | NDArray[numpy.uint8]
_Array: TypeAlias = NDArray[numpy.uint8] | NDArray[numpy.float32] | _Tensor
_Images: TypeAlias = _Image | _Array | Iterable[_Image]
_Precision: TypeAlias = Literal["f32", "bf16", "int8", "int4"]

__all__ = [
    "AlexNetError",
    "Explain",
    "Lpips",
    "Model",
    "Prediction",
    "TrainEvent",
    "TrainResult",
    "__version__",
    "command_line",
    "encode_png",
    "image_files",
    "load",
    "networks",
    "train",
]
__version__: str

class _TrainSettings(TypedDict, total=False):
    """Settings of a training run; `alexnet.train` describes them."""

    val: _Path | None
    data_classes: _Path | None
    val_share: float | None
    net: str | None
    recipe: str | None
    set: list[str]
    optimizer: str | None
    epochs: int | None
    minutes: float | None
    batch: int | None
    lr: float | None
    image_size: int | None
    from_: _Path | None
    labels: _Path | None
    freeze: str | None
    lr_times: str | None
    seed: int | None
    precision: Literal["f32", "bf16"] | None
    threads: int
    out: _Path | None
    resume: _Path | None
    max_steps: int | None
    class_weights: _Path | None
    balanced: bool
    patience: int | None

class AlexNetError(Exception):
    """Error of alexnet that is neither a missing file nor an invalid argument."""

@final
class Prediction:
    """A class with its probability."""

    __match_args__: tuple[Literal["label"], Literal["probability"], Literal["index"]]
    def __new__(cls, label: str, probability: float, index: int) -> Prediction: ...
    @property
    def label(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def index(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Model:
    """A model: a network with its weights, preprocessing and class names, ready to run on the CPU."""

    def __new__(
        cls,
        path: _Path,
        *,
        net: str | None = None,
        labels: _Path | None = None,
        precision: _Precision = "f32",
        threads: int = 0,
        batch: int = 32,
    ) -> Model: ...
    # A path may be a folder, and an array several images.
    @overload
    def predict(self, images: _Path | _Array, top: int = 5, crops: int = 1) -> Any: ...
    @overload
    def predict(self, images: bytes | _PilImage, top: int = 5, crops: int = 1) -> list[Prediction]: ...
    @overload
    def predict(self, images: Iterable[_Image], top: int = 5, crops: int = 1) -> list[list[Prediction]]: ...
    def probabilities(self, images: _Images, crops: int = 1) -> NDArray[numpy.float64]: ...
    def features(self, images: _Images, layer: str = "fc7", before_relu: bool = False) -> NDArray[numpy.float32]: ...
    def state_dict(self, names: Literal["torchvision", "alexnet"] = "torchvision") -> dict[str, NDArray[numpy.float32]]: ...
    def svg(self) -> str: ...
    @property
    def explain(self) -> Explain: ...
    @property
    def path(self) -> Path: ...
    @property
    def net(self) -> str: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def layers(self) -> list[str]: ...
    @property
    def image_size(self) -> int: ...
    @property
    def parameter_count(self) -> int: ...
    def _repr_html_(self) -> str: ...
    def __getnewargs_ex__(self) -> tuple[tuple[Path], dict[str, Any]]: ...

@final
class Explain:
    """Explanations of a model's predictions."""

    def cam(
        self,
        image: _Image,
        label: int | str | None = None,
        *,
        layer: str | None = None,
        method: Literal["grad-cam", "layer-cam"] = "grad-cam",
    ) -> NDArray[numpy.float32]: ...
    def saliency(
        self,
        image: _Image,
        label: int | str | None = None,
        *,
        guided: bool = False,
        smooth: int = 0,
        noise: float = 0.15,
        seed: int = 0,
        signed: bool = False,
    ) -> NDArray[numpy.float32]: ...
    def view(self, image: _Image) -> NDArray[numpy.uint8]: ...
    def overlay(self, image: _Image, heat: NDArray[numpy.float32], strength: float = 0.75) -> NDArray[numpy.uint8]: ...

@final
class Lpips:
    """LPIPS, a perceptual distance between images."""

    def __new__(cls, model: _Path, linear: _Path | None, *, threads: int = 0) -> Lpips: ...
    def __call__(self, a: _Image, b: _Image, size: int | None = None) -> float: ...

@final
class TrainEvent:
    """Progress of a training run."""

    @property
    def kind(self) -> Literal["note", "warning", "start", "step", "epoch", "broken"]: ...
    @property
    def message(self) -> str | None: ...
    @property
    def epoch(self) -> int | None: ...
    @property
    def epochs(self) -> int | None: ...
    @property
    def step(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def top1(self) -> float | None: ...
    @property
    def val_loss(self) -> float | None: ...
    @property
    def val_top1(self) -> float | None: ...
    @property
    def lr(self) -> float | None: ...
    @property
    def images(self) -> int | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def best(self) -> bool | None: ...
    @property
    def dir(self) -> Path | None: ...

@final
class TrainResult:
    """Outcome of a training run."""

    @property
    def reason(self) -> Literal["done", "early-stop", "max-steps", "interrupted"]: ...
    @property
    def dir(self) -> Path: ...
    @property
    def best(self) -> Path: ...
    @property
    def last(self) -> Path: ...
    @property
    def top1(self) -> float | None: ...
    @property
    def step(self) -> int: ...

def load(
    path_or_name: _Path,
    *,
    net: str | None = None,
    labels: _Path | None = None,
    precision: _Precision = "f32",
    threads: int = 0,
    batch: int = 32,
) -> Model: ...
def command_line(arguments: list[str]) -> None: ...
def networks() -> list[str]: ...
def image_files(folder: _Path) -> list[Path]: ...
def encode_png(image: _Image) -> bytes: ...
def train(
    data: _Path | None = None,
    *,
    callback: Callable[[TrainEvent], object] | None = None,
    val: _Path | None = ...,
    data_classes: _Path | None = ...,
    val_share: float | None = ...,
    net: str | None = ...,
    recipe: str | None = ...,
    set: list[str] = ...,
    optimizer: str | None = ...,
    epochs: int | None = ...,
    minutes: float | None = ...,
    batch: int | None = ...,
    lr: float | None = ...,
    image_size: int | None = ...,
    from_: _Path | None = ...,
    labels: _Path | None = ...,
    freeze: str | None = ...,
    lr_times: str | None = ...,
    seed: int | None = ...,
    precision: Literal["f32", "bf16"] | None = ...,
    threads: int = ...,
    out: _Path | None = ...,
    resume: _Path | None = ...,
    max_steps: int | None = ...,
    class_weights: _Path | None = ...,
    balanced: bool = ...,
    patience: int | None = ...,
) -> TrainResult: ...
