"""Predictions and probabilities: torchvision's, in whatever form the images come, and errors as exceptions."""

import io
import pathlib
import pickle

import numpy
import pytest
from PIL import Image

import alexnet


def expected(reference, tensor):
    import torch

    with torch.no_grad():
        return torch.softmax(reference(tensor).double(), 1).numpy()


def test_probabilities_are_those_of_torchvision(model, reference, tensor, pictures):
    found = model.probabilities(pictures)
    assert found.shape == (5, 1000) and found.dtype == numpy.float64
    numpy.testing.assert_allclose(found, expected(reference, tensor), atol=1e-5, rtol=0)
    numpy.testing.assert_allclose(found, expected(reference, tensor), rtol=1e-4)
    numpy.testing.assert_allclose(model.probabilities(tensor), found, atol=1e-7)
    # A batch in other memory order, and one image.
    turned = tensor.numpy().transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    assert (model.probabilities(turned) == model.probabilities(tensor)).all()
    assert (model.probabilities(tensor[0]) == model.probabilities(tensor)[:1]).all()


def test_ten_crops_are_averaged(model, reference, pictures):
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms")

    ten = transforms.Compose([transforms.Resize(256), transforms.TenCrop(224)])
    last = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    crops = torch.stack([last(crop) for crop in ten(Image.fromarray(pictures[0]))])
    found = model.probabilities(pictures[0], crops=10)
    numpy.testing.assert_allclose(found[0], expected(reference, crops).mean(0), atol=1e-5, rtol=0)


def test_one_image_gives_a_list_and_several_give_a_list_of_lists(model, pictures):
    found = model.predict(pictures[0])
    assert len(found) == 5 and [type(p) for p in found] == [alexnet.Prediction] * 5
    assert found[0].probability >= found[1].probability
    assert found[0].index == model.probabilities(pictures[0])[0].argmax()
    assert model.classes[found[0].index] == found[0].label
    several = model.predict(pictures[:2], top=3)
    assert [len(one) for one in several] == [3, 3] and several[0] == found[:3]
    assert model.predict([]) == [] and len(model.predict(pictures[0], top=5000)) == 1000
    assert repr(found[0]) == f"Prediction(label={found[0].label!r}, probability={found[0].probability:.4f}, index={found[0].index})"
    assert pickle.loads(pickle.dumps(found)) == found


class Tensor:
    """What becomes an array as a tensor of PyTorch does."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_every_form_of_an_image_gives_the_same_answer(model, pictures, folder):
    files = sorted(folder.glob("*.png"))
    answers = model.predict(pictures)
    assert model.predict(files) == answers
    assert model.predict([str(file) for file in files]) == answers
    assert model.predict(file.read_bytes() for file in files) == answers
    assert model.predict([Image.open(file) for file in files]) == answers
    assert model.predict(folder) == answers and model.predict(str(folder)) == answers
    assert alexnet.image_files(folder) == files
    one = pictures[0]
    assert model.predict(one) == model.predict(Image.fromarray(one)) == model.predict(str(files[0])) == answers[0]
    # Views with strides, batches, and tensors of the same pixels.
    assert model.predict(numpy.asfortranarray(one)) == model.predict(one[::-1][::-1]) == answers[0]
    assert model.predict(numpy.stack([one, one])) == [answers[0]] * 2
    assert model.predict(Tensor(one)) == answers[0]
    assert model.predict(Image.fromarray(one).convert("RGBA")) == answers[0]


def test_pil_images_are_turned_upright_as_files_are(small, pictures, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.jpg"
    Image.fromarray(pictures[0]).save(file, exif=exif, quality=95)
    assert small.predict(file) == small.predict(Image.open(file)) == small.predict(file.read_bytes())


def test_tensors_of_a_data_loader(model, tensor):
    import torch

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(tensor), batch_size=2)
    found = [model.probabilities(images) for (images,) in loader]
    assert (numpy.concatenate(found) == model.probabilities(tensor)).all()


def test_settings_do_not_change_answers(model, model_file, pictures):
    for settings in [{"batch": 2}, {"threads": 1, "batch": 1}]:
        assert alexnet.load(model_file, **settings).predict(pictures) == model.predict(pictures)
    assert alexnet.Model(str(model_file)).predict(pictures[0]) == model.predict(pictures[0])
    copy = pickle.loads(pickle.dumps(alexnet.load(model_file, batch=3)))
    assert copy.predict(pictures[0]) == model.predict(pictures[0])
    bf16 = alexnet.load(model_file, precision="bf16")
    numpy.testing.assert_allclose(bf16.probabilities(pictures), model.probabilities(pictures), rtol=0.02)


def test_the_model_describes_itself(model, small, model_file):
    assert (model.net, model.image_size, len(model.classes), model.parameter_count) == ("torchvision", 224, 1000, 61_100_840)
    assert model.path == model_file and isinstance(model.path, pathlib.Path)
    assert model.layers[:3] == ["conv1", "relu1", "pool1"] and model.layers[-1] == "fc8"
    assert repr(model) == f"<alexnet.Model torchvision at 224 pixels, 1000 classes, 61.1 million parameters, from {model_file}>"
    assert model.svg().startswith("<svg") and small.image_size == 32
    assert "torchvision" in alexnet.networks()


def test_labels_name_the_classes(model_file):
    assert alexnet.load(model_file, labels="imagenet").classes[0] == "tench"


@pytest.mark.parametrize("name", ["gone.safetensors", "some/folder/gone.pth", "torchvison"])
def test_a_missing_model_is_file_not_found(name):
    with pytest.raises(FileNotFoundError, match="no such file"):
        alexnet.load(name)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(FileNotFoundError, match="did you mean torchvision"):
        alexnet.load("torchvison")


def test_bad_models_and_settings(tmp_path, model_file):
    broken = tmp_path / "broken.pth"
    broken.write_bytes(model_file.read_bytes()[:1000])
    with pytest.raises(alexnet.AlexNetError, match="broken.pth"):
        alexnet.load(broken)
    with pytest.raises(alexnet.AlexNetError, match="a folder"):
        alexnet.load(tmp_path)
    with pytest.raises(alexnet.AlexNetError, match="alexnet quantize"):
        alexnet.load(model_file, precision="int8")
    for settings in [{"precision": "f8"}, {"batch": 0}, {"net": "resnet"}, {"labels": "gone.txt"}]:
        with pytest.raises((ValueError, FileNotFoundError, alexnet.AlexNetError)):
            alexnet.load(model_file, **settings)
    with pytest.raises(TypeError):
        alexnet.load(5)


def test_bad_images(small, pictures, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
    (tmp_path / "empty").mkdir()
    one = pictures[0]
    for images in [tmp_path / "gone.jpg", [one, "gone.jpg"]]:
        with pytest.raises(FileNotFoundError, match="gone.jpg"):
            small.predict(images)
    for images, message in [
        (bad, "bad.jpg.*not a JPEG"),
        (b"", "empty"),
        (b"GIF89a", "GIF|broken|truncated|file"),
        (one[:, :, 0], "H x W x 3"),
        (one.astype(float), "float64"),
        (numpy.zeros((0, 5, 3), numpy.uint8), "empty"),
        (numpy.zeros((2, 3, 99, 99), numpy.float32), "3 x 32 x 32"),
        (numpy.zeros((64, 64, 3), numpy.float32), "got shape"),
        ([one, one[:, :, :2]], "image 1: .*H x W x 3"),
        ([one, b"GIF89a"], "image 1: "),
    ]:
        with pytest.raises(ValueError, match=message):
            small.predict(images)
    for images in [None, 5, {"a": one}, [one, None], [[one]]]:
        with pytest.raises(TypeError, match="expected"):
            small.predict(images)
    for arguments in [{"top": 0}, {"crops": 5}]:
        with pytest.raises(ValueError, match=next(iter(arguments))):
            small.predict(one, **arguments)
    with pytest.raises(ValueError, match="crops=1"):
        small.predict(numpy.zeros((1, 3, 32, 32), numpy.float32), crops=10)
    with pytest.raises((ValueError, alexnet.AlexNetError), match="no images"):
        small.predict(tmp_path / "empty")


def test_an_exception_of_a_generator_is_raised(small, pictures):
    def images():
        yield pictures[0]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        small.predict(images())


def test_png_bytes_hold_the_pixels(pictures):
    decoded = numpy.asarray(Image.open(io.BytesIO(alexnet.encode_png(pictures[0]))))
    assert (decoded == pictures[0]).all()
