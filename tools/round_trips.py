#!/usr/bin/env python3
"""Model files of other tools read here, and ours read there, with equal answers.

    python tools/round_trips.py target/release/alexnet [torch] [onnx] [paddle] [caffe]

Needs numpy and pillow, and what each part names: torch and torchvision, onnxruntime, paddlepaddle, protobuf. Without a list, all
parts whose packages are installed. Answers are compared as logits less their mean, with the relative bound of 1e-5 (of the
largest), for a random picture of 256 x 256, which no preset resizes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = sys.argv[1]
BOUND = 1e-5
CLASSES = 1000
failed = []


def alexnet(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return done.stdout


def centred(logits):
    logits = np.asarray(logits, np.float64).reshape(-1)
    return logits - logits.mean()


def ours(model, picture, *options):
    """Logits less their mean of our program, from its probabilities."""
    classes = json.loads(alexnet("inspect", model, "--json", *options))["classes"]
    top = json.loads(alexnet("predict", "--model", model, "--top", classes, "--json", *options, picture))[0]["top"]
    logits = np.zeros(classes)
    for answer in top:
        logits[answer["index"]] = np.log(answer["probability"])
    return centred(logits)


def compare(what, a, b):
    a, b = centred(a), centred(b)
    off = np.abs(a - b).max() / np.abs(b).max()
    if off > BOUND:
        failed.append(what)
    print(f"{what}: off by {off:.1e} of the largest{'  FAILED' if off > BOUND else ''}", flush=True)


def prepared(picture, crop, mean, std, scale=1.0, bgr=False):
    """What torchvision's or Caffe's users feed: [1, 3, crop, crop]."""
    pixels = np.asarray(Image.open(picture), np.float32)
    at = round((len(pixels) - crop) / 2)
    pixels = pixels[at : at + crop, at : at + crop]
    if bgr:
        pixels = pixels[..., ::-1]
    pixels = (pixels * np.float32(scale) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


TORCH = dict(crop=224, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], scale=1 / 255)
CAFFE = dict(crop=227, mean=[104, 117, 123], std=[1, 1, 1], bgr=True)


def torch_part(folder, picture):
    import torch
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.alexnet(num_classes=CLASSES).eval()
    images = torch.tensor(prepared(picture, **TORCH))
    with torch.no_grad():
        wanted = net(images).numpy()

    def saved(name, what, **options):
        path = folder / name
        torch.save(what, path, **options)
        compare(f"torch.save, {name} -> alexnet", ours(path, picture), wanted)
        return path

    zip_file = saved("zip.pth", net.state_dict())
    legacy = saved("legacy.pth", net.state_dict(), _use_new_zipfile_serialization=False)
    legacy.unlink()
    wrapped = {"module." + name: tensor for name, tensor in net.state_dict().items()}
    saved("checkpoint.pth", {"epoch": 3, "arch": "alexnet", "best_acc1": torch.tensor(1.0), "state_dict": wrapped}).unlink()
    # A tensor that is a transposed view of another, and numbers of half the width.
    views = {name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in net.state_dict().items()}
    saved("views.pth", views).unlink()
    half = folder / "half.pth"
    torch.save({name: t.half() for name, t in net.state_dict().items()}, half)
    with torch.no_grad():
        rounded = torchvision.models.alexnet(num_classes=CLASSES).eval()
        rounded.load_state_dict({name: t.half().float() for name, t in net.state_dict().items()})
        compare("torch.save, half precision -> alexnet", ours(half, picture), rounded(images).numpy())
    half.unlink()

    def there(name, *options):
        path = folder / name
        alexnet("convert", zip_file, path, *options)
        if name.endswith(".pth"):
            state = torch.load(path, weights_only=True, mmap=True)
        else:
            from safetensors.torch import load_file

            state = load_file(path)
        theirs = torchvision.models.alexnet(num_classes=CLASSES).eval()
        theirs.load_state_dict(state)
        with torch.no_grad():
            compare(f"alexnet convert, {name} -> torchvision", theirs(images).numpy(), wanted)
        compare(f"alexnet convert, {name} -> alexnet", ours(path, picture), wanted)
        path.unlink()

    there("ours.pth")
    try:
        import safetensors  # noqa: F401
    except ImportError:
        print("no safetensors package: left out")
    else:
        there("ours.safetensors", "--names", "torchvision")
    zip_file.unlink()


def onnx_part(folder, picture):
    import onnxruntime
    import torch
    import torchvision

    def run(path, feed):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: feed})[0]

    torch.manual_seed(1)
    net = torchvision.models.alexnet(num_classes=CLASSES).eval()
    images = torch.tensor(prepared(picture, **TORCH))
    source = folder / "source.pth"
    torch.save(net.state_dict(), source)
    with torch.no_grad():
        wanted = net(images).numpy()
    plain, whole = folder / "plain.onnx", folder / "whole.onnx"
    alexnet("convert", source, plain)
    compare("alexnet convert, plain.onnx -> ONNX Runtime", run(plain, images.numpy()), wanted)
    compare("alexnet convert, plain.onnx -> alexnet", ours(plain, picture), wanted)
    alexnet("convert", source, whole, "--preprocess-in-graph")
    pixels = np.asarray(Image.open(picture))[16:240, 16:240][None]
    compare("alexnet convert, whole.onnx fed RGB bytes -> ONNX Runtime", run(whole, pixels), wanted)
    for path in (plain, whole):
        path.unlink()
    exported = folder / "exported.onnx"
    for dynamo in (False, True):
        try:
            torch.onnx.export(net, (images,), exported, dynamo=dynamo, verbose=False)
        except ModuleNotFoundError as missing:
            print(f"torch.onnx.export, dynamo {dynamo}: needs {missing.name}, left out")
            continue
        compare(f"torch.onnx.export, dynamo {dynamo} -> alexnet", ours(exported, picture), wanted)
    source.unlink()
    # Every preset as a graph against our own engine: first weights from a run of one step.
    for name in ("paper", "bvlc", "caffenet", "onnx-bvlc", "original-145", "owt", "paddle", "seed-code", "slim"):
        run_folder = folder / name
        alexnet("-q", "train", "--net", name, "--epochs", 1, "--max-steps", 1, "--batch", 8, "--out", run_folder)
        model = run_folder / "last.safetensors"
        about = json.loads(alexnet("inspect", model, "--json"))["preprocess"]
        side = next(iter(about["resize"].values()))
        right = folder / "right.png"
        Image.fromarray(np.random.default_rng(8).integers(0, 256, (side, side, 3), np.uint8)).save(right)
        feed = prepared(
            right,
            about["crop"],
            about["mean"]["channel"],
            about["std"],
            about["scale"],
            about["channels"] == "bgr",
        )
        path = folder / f"{name}.onnx"
        alexnet("convert", model, path)
        compare(f"{name}.onnx -> ONNX Runtime", run(path, feed), ours(model, right))
        compare(f"{name}.onnx -> alexnet", ours(path, right), ours(model, right))
        for file in run_folder.iterdir():
            file.unlink()
        path.unlink()


PARTS = {"torch": torch_part, "onnx": onnx_part}


def main():
    wanted = sys.argv[2:] or list(PARTS)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        picture = folder / "picture.png"
        Image.fromarray(np.random.default_rng(7).integers(0, 256, (256, 256, 3), np.uint8)).save(picture)
        for name in wanted:
            try:
                PARTS[name](folder, picture)
            except ImportError as missing:
                if sys.argv[2:]:
                    raise
                print(f"{name}: {missing}, left out")
    if failed:
        raise SystemExit(f"{len(failed)} failed: {', '.join(failed)}")


main()
