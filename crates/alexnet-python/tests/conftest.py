"""Models and images of the tests: torchvision's AlexNet with random weights, and noise that is smooth enough to be a photograph."""

import numpy
import pytest

import alexnet

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="session")
def reference():
    """torchvision's AlexNet, untrained."""
    torch.manual_seed(1)
    return torchvision.models.alexnet(weights=None).eval()


@pytest.fixture(scope="session")
def model_file(reference, tmp_path_factory):
    """Its state_dict as PyTorch saves it."""
    path = tmp_path_factory.mktemp("model") / "alexnet.pth"
    torch.save(reference.state_dict(), path)
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
    transforms = torchvision.transforms
    preprocess = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return torch.stack([preprocess(Image.fromarray(image)) for image in pictures])
