"""Features and parameters: those of torchvision's modules."""

import numpy
import pytest

import alexnet


def outputs(reference, tensor):
    """The output of every module, copied before the next one works in place."""
    import torch

    found = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: found.update({name: output.clone().numpy()}))
        for name, module in reference.named_modules()
        if "." in name or name == "avgpool"
    ]
    with torch.no_grad():
        reference(tensor)
    for hook in hooks:
        hook.remove()
    return found


def close(found, expected):
    assert found.dtype == numpy.float32 and found.shape == expected.shape
    scale = max(1.0, abs(expected).max())
    numpy.testing.assert_allclose(found, expected, atol=1e-5 * scale, rtol=0)


def test_features_are_those_of_a_forward_hook(model, reference, tensor, pictures):
    modules = outputs(reference, tensor)
    assert len(modules) == 21
    for name, expected in modules.items():
        close(model.features(tensor, layer=name), expected)
    close(model.features(pictures, layer="classifier.4"), modules["classifier.4"])


def test_own_names_are_after_the_relu(model, reference, tensor, pictures):
    modules = outputs(reference, tensor)
    close(model.features(pictures), modules["classifier.5"])
    for layer, module in [("fc6", "classifier.2"), ("conv5", "features.11"), ("pool5", "features.12"), ("fc8", "classifier.6")]:
        close(model.features(tensor, layer=layer), modules[module])
    close(model.features(tensor, layer="fc7", before_relu=True), modules["classifier.4"])
    assert model.features(pictures[0]).shape == (1, 4096)


def test_features_do_not_depend_on_the_form_of_images(model, pictures, folder):
    array = model.features(pictures)
    assert (model.features(folder) == array).all()
    assert (model.features(iter(pictures)) == array).all()
    assert (model.features(pictures[2]) == array[2:3]).all()
    assert model.features([]).shape == (0, 4096)


def test_an_array_of_features_belongs_to_the_caller(small, pictures):
    first = small.features(pictures, layer="conv3")
    copy = first.copy()
    small.features(pictures[::-1], layer="conv3")
    assert (first == copy).all() and first.flags.writeable and first.flags.c_contiguous
    first += 1


def test_an_unknown_layer_is_an_error(model, pictures):
    for layer in ["conv9", "features.13", "classifier.7", "classifier.x"]:
        with pytest.raises(ValueError, match=layer):
            model.features(pictures[0], layer=layer)


def test_the_state_dict_has_the_values_of_the_file(model, weights):
    found = model.state_dict()
    assert list(found) == list(weights)
    assert all((found[name] == weights[name]).all() for name in weights)
    own = model.state_dict(names="alexnet")
    assert list(own)[:2] == ["conv1.weight", "conv1.bias"] and (own["fc8.bias"] == found["classifier.6.bias"]).all()
    with pytest.raises(ValueError, match="torchvision or alexnet"):
        model.state_dict(names="caffe")
    # The caller's copy.
    found["classifier.6.bias"][:] = 0
    assert (model.state_dict()["classifier.6.bias"] == weights["classifier.6.bias"]).all()


def test_the_state_dict_goes_to_pytorch_and_back(model, reference, tmp_path):
    import torch
    import torchvision

    other = torchvision.models.alexnet(weights=None)
    other.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    torch.save(other.state_dict(), tmp_path / "alexnet.pth")
    image = numpy.zeros((1, 3, 224, 224), numpy.float32)
    assert (alexnet.load(tmp_path / "alexnet.pth").features(image) == model.features(image)).all()


def test_a_net_that_torchvision_does_not_have_keeps_its_names(small):
    with pytest.raises(ValueError, match="names=\"alexnet\""):
        small.state_dict()
    assert list(small.state_dict(names="alexnet"))[-1] == "fc10.bias"
