"""Models and images of the tests: torchvision's AlexNet with random weights, and noise that is smooth enough to be a photograph.

What compares with PyTorch is skipped without it; everything else needs NumPy and Pillow.
"""

import json
import math

import numpy
import pytest
from PIL import Image

import alexnet

#: Shapes of torchvision's convolutions and linear layers.
SHAPES = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216),
    "classifier.4": (4096, 4096),
    "classifier.6": (1000, 4096),
}


@pytest.fixture(scope="session")
def weights():
    """A state_dict of torchvision's AlexNet, initialised as PyTorch does."""
    random, weights = numpy.random.default_rng(1), {}
    for name, shape in SHAPES.items():
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        for part, of_part in [("weight", shape), ("bias", shape[:1])]:
            values = random.random(of_part, dtype=numpy.float32)
            weights[f"{name}.{part}"] = (2 * values - 1) * numpy.float32(bound)
    return weights


@pytest.fixture(scope="session")
def reference(weights):
    """torchvision's AlexNet with these weights."""
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    reference = torchvision.models.alexnet(weights=None)
    reference.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return reference.eval()


@pytest.fixture(scope="session")
def model_file(weights, tmp_path_factory):
    """The weights as a safetensors file."""
    path = tmp_path_factory.mktemp("model") / "alexnet.safetensors"
    header, end = {}, 0
    for name, array in weights.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in weights.values():
            file.write(array.tobytes())
    return path


@pytest.fixture(scope="session")
def model(model_file):
    """The same model here."""
    return alexnet.load(model_file)


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """A small net of ten classes at 32 pixels, trained for two steps."""
    folder = tmp_path_factory.mktemp("small")
    result = alexnet.train(net="cifar-18pct", batch=4, epochs=1, max_steps=2, out=folder / "run", progress=False)
    return result.last


@pytest.fixture(scope="session")
def small(small_file):
    """That model."""
    return alexnet.load(small_file)


def picture(seed, width=320, height=256):
    """A smooth random image, H x W x 3 uint8."""
    random = numpy.random.default_rng(seed)
    coarse = random.integers(0, 256, (9, 11, 3), dtype=numpy.uint8)
    return numpy.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def pictures():
    """Five images of several sizes."""
    return [picture(i, 300 + 20 * i, 260 + 7 * i) for i in range(5)]


@pytest.fixture(scope="session")
def folder(pictures, tmp_path_factory):
    """The images as PNG files."""
    folder = tmp_path_factory.mktemp("images")
    for i, image in enumerate(pictures):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def tensor(pictures):
    """The images as torchvision preprocesses them, N x 3 x 224 x 224."""
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms")
    preprocess = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return torch.stack([preprocess(Image.fromarray(image)) for image in pictures])
