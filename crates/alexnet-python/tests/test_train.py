"""Training with callbacks, and the scikit-learn estimator."""

import os
import pickle
import signal

import numpy
import pytest

import alexnet

SMALL = {"net": "cifar-18pct", "batch": 4, "progress": False}


def test_callbacks_see_every_step_and_epoch(tmp_path):
    events = []
    result = alexnet.train(epochs=1, max_steps=3, out=tmp_path / "run", callbacks=[events.append], **SMALL)
    assert (result.reason, result.step, result.dir) == ("max-steps", 3, tmp_path / "run")
    steps = [event for event in events if event.kind == "step"]
    assert [event.step for event in steps] == [1, 2, 3] and steps[0].epochs == 1 and steps[0].images == 4
    assert all(event.loss > 0 and 0 <= event.top1 <= 1 and event.lr > 0 for event in steps)
    start = next(event for event in events if event.kind == "start")
    assert start.dir == result.dir and start.images > 100 and "start" in repr(start)
    assert alexnet.load(result.last).net == "cifar-18pct" and "max-steps" in repr(result)


def test_a_callback_stops_the_run_which_resumes(tmp_path):
    seen = []

    def stop(event):
        seen.append(event)
        return event.step != 2

    result = alexnet.train(epochs=1, max_steps=4, out=tmp_path / "run", callbacks=[stop], **SMALL)
    assert (result.reason, result.step) == ("interrupted", 2)
    resumed = alexnet.train(resume=tmp_path / "run", max_steps=4, progress=False)
    whole = alexnet.train(epochs=1, max_steps=4, out=tmp_path / "whole", **SMALL)
    assert resumed.step == 4 and resumed.last.read_bytes() == whole.last.read_bytes()


def test_exceptions_and_ctrl_c_end_the_run_with_everything_saved(tmp_path):
    def fail(event):
        if event.kind == "step":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        alexnet.train(epochs=1, out=tmp_path / "a", callbacks=[fail], **SMALL)

    def interrupt(event):
        if event.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        alexnet.train(epochs=1, out=tmp_path / "b", callbacks=[interrupt], **SMALL)
    assert alexnet.train(resume=tmp_path / "b", max_steps=4, progress=False).step == 4


def test_progress_is_printed(tmp_path, capsys):
    alexnet.train(epochs=1, max_steps=2, out=tmp_path / "run", net="cifar-18pct", batch=4)
    assert "1 epochs" in capsys.readouterr().err


def test_bad_settings(tmp_path):
    with pytest.raises(FileNotFoundError):
        alexnet.train(tmp_path / "gone", progress=False)
    with pytest.raises(FileNotFoundError):
        alexnet.train(from_=tmp_path / "gone.pth", progress=False)
    for settings in [{"net": "resnet"}, {"set": ["momentum=fast"]}, {"minutes": -1.0}, {"epochs": 0}]:
        with pytest.raises((ValueError, alexnet.AlexNetError)):
            alexnet.train(out=tmp_path / "run", progress=False, **settings)
    with pytest.raises(TypeError):
        alexnet.train(epoch=3)


@pytest.fixture(scope="module")
def blobs():
    """Red and green images with noise."""
    random = numpy.random.default_rng(3)
    images = random.integers(0, 100, (48, 36, 36, 3), dtype=numpy.uint8)
    labels = numpy.arange(48) % 2
    for image, label in zip(images, labels):
        image[..., label] += 120
    return images, numpy.array(["red", "green"])[labels]


def estimator(**settings):
    pytest.importorskip("sklearn")
    settings = {"net": "cifar-18pct", "epochs": 12, "batch": 8, "lr": 0.02} | settings
    return alexnet.AlexNetClassifier(**settings)


def test_the_estimator_learns(blobs, tmp_path):
    images, labels = blobs
    fitted = estimator().fit(images[:40], labels[:40])
    assert list(fitted.classes_) == ["green", "red"]
    probabilities = fitted.predict_proba(images[40:])
    assert probabilities.shape == (8, 2)
    numpy.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert (fitted.predict(images[40:]) == fitted.classes_[probabilities.argmax(1)]).all()
    assert fitted.score(images[40:], labels[40:]) == 1.0
    copy = pickle.loads(pickle.dumps(fitted))
    assert (copy.predict_proba(images[40:]) == probabilities).all()
    # From files, with the same bytes as result.
    for i, image in enumerate(images):
        (tmp_path / f"{i}.png").write_bytes(alexnet.encode_png(image))
    files = [tmp_path / f"{i}.png" for i in range(48)]
    of_files = estimator().fit(files[:40], labels[:40])
    assert (of_files.predict_proba(files[40:]) == probabilities).all()


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_the_estimator_is_one_of_scikit_learns(blobs):
    estimator()
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError
    from sklearn.model_selection import GridSearchCV
    from sklearn.utils import estimator_checks

    images, labels = blobs
    assert clone(estimator(crops=10)).get_params()["crops"] == 10
    with pytest.raises(NotFittedError):
        estimator().predict(images)
    for wrong in [(images, labels[:3]), (images, numpy.zeros(48, int)), (images, numpy.linspace(0, 1, 48))]:
        with pytest.raises(ValueError):
            estimator().fit(*wrong)
    search = GridSearchCV(estimator(epochs=2, val_share=0.0), {"lr": [0.001, 0.02]}, cv=2).fit(images, labels)
    assert set(search.best_params_) == {"lr"}
    # scikit-learn's own checks; those that fit tables of numbers do not apply to images, and it skips them.
    estimator_checks.check_estimator(estimator())
    for check in ["cloneable", "repr", "tags_renamed"]:
        getattr(estimator_checks, f"check_estimator_{check}")("AlexNetClassifier", estimator())
    for check in ["no_attributes_set_in_init", "parameters_default_constructible", "valid_tag_types", "get_params_invariance", "set_params"]:
        getattr(estimator_checks, f"check_{check}")("AlexNetClassifier", estimator())
