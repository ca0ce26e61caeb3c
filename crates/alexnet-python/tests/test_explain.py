"""Explanations: those of PyTorch's gradients; LPIPS: the package's."""

import numpy
import pytest

import alexnet


def gradients(reference, tensor, index):
    """relu5 and the gradients of a class's logit with respect to it and to the input."""
    import torch

    image = tensor[:1].clone().requires_grad_()
    maps = reference.features[:12](image)
    maps.retain_grad()
    logits = reference.classifier(torch.flatten(reference.avgpool(reference.features[12:](maps)), 1))
    logits[0, index].backward()
    return maps.detach()[0].numpy(), maps.grad[0].numpy(), image.grad[0].numpy()


def test_maps_are_those_of_pytorchs_gradients(model, reference, tensor, pictures):
    best = model.predict(pictures[0])[0].index
    for index, label in [(best, None), (7, 7), (8, model.classes[8])]:
        maps, slopes, image = gradients(reference, tensor, index)
        weights = slopes.mean(axis=(1, 2))
        expected = numpy.maximum((weights[:, None, None] * maps).sum(0), 0)
        found = model.explain.cam(pictures[0], label)
        assert found.shape == (13, 13) and found.dtype == numpy.float32
        numpy.testing.assert_allclose(found, expected, atol=1e-4 * expected.max() + 1e-12)
        layer_cam = numpy.maximum((numpy.maximum(slopes, 0) * maps).sum(0), 0)
        found = model.explain.cam(pictures[0], label, method="layer-cam")
        numpy.testing.assert_allclose(found, layer_cam, atol=1e-4 * layer_cam.max() + 1e-12)
        signed = model.explain.saliency(pictures[0], label, signed=True)
        numpy.testing.assert_allclose(signed, image, atol=1e-4 * abs(image).max())
        assert (model.explain.saliency(pictures[0], label) == abs(signed).max(0)).all()


def test_the_view_is_the_centre_crop(model, pictures):
    view = model.explain.view(pictures[0])
    assert view.dtype == numpy.uint8 and view.shape[0] == view.shape[1]
    heat = model.explain.cam(pictures[0], layer="conv3")
    overlay = model.explain.overlay(pictures[0], heat)
    assert overlay.shape == view.shape and overlay.dtype == numpy.uint8
    assert not (overlay == view).all()
    with pytest.raises(ValueError, match="empty"):
        model.explain.overlay(pictures[0], numpy.zeros((0, 3), numpy.float32))


def test_smoothed_and_guided_gradients(small, pictures):
    plain = small.explain.saliency(pictures[0])
    guided = small.explain.saliency(pictures[0], guided=True)
    smooth = small.explain.saliency(pictures[0], smooth=4, seed=3)
    assert plain.shape == (32, 32) and not (plain == guided).all()
    assert (smooth == small.explain.saliency(pictures[0], smooth=4, seed=3)).all()


def test_bad_arguments(small, pictures):
    with pytest.raises(ValueError, match="no class zebra"):
        small.explain.cam(pictures[0], "zebra")
    with pytest.raises(ValueError, match="class 99"):
        small.explain.cam(pictures[0], 99)
    with pytest.raises(ValueError, match="grad-cam or layer-cam"):
        small.explain.cam(pictures[0], method="score-cam")
    with pytest.raises(ValueError, match="no spatial activations"):
        small.explain.cam(pictures[0], layer="fc10")
    with pytest.raises(TypeError, match="one image"):
        small.explain.saliency(pictures)


@pytest.fixture(scope="module")
def perceptual():
    """The package's LPIPS with random weights below its published linear heads."""
    torch, package = pytest.importorskip("torch"), pytest.importorskip("lpips")
    torch.manual_seed(2)
    return package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()


def test_lpips_is_the_packages(perceptual, pictures, tmp_path):
    from pathlib import Path

    import lpips as package
    import torch

    state = tmp_path / "lpips.pth"
    torch.save(perceptual.state_dict(), state)
    heads = Path(package.__file__).parent / "weights/v0.1/alex.pth"
    a, b = pictures[0], numpy.roll(pictures[0], 9, axis=1)
    as_tensor = lambda image: torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = perceptual(as_tensor(a), as_tensor(b)).item()
    found = alexnet.lpips(a, b, model=state, linear=heads)
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-4)
    opened = alexnet.Lpips(state, heads)
    assert opened(a, b) == found and opened(a, a) == 0 and opened(a, b, size=64) > 0
    assert alexnet.Lpips(state, None)(a, b) != found
    with pytest.raises(ValueError, match="size=N"):
        opened(a, pictures[1])


def test_lpips_without_weights_is_file_not_found(pictures):
    with pytest.raises(FileNotFoundError, match="gone.pth"):
        alexnet.lpips(pictures[0], pictures[0], model="gone.pth", linear=None)
