#!/usr/bin/env python3
"""Checks that model files of other tools give equal outputs here, and exported files there.

    python tools/round_trips.py target/release/alexnet [torch] [checkpoints] [onnx] [exports] [graphs] [paddle] [caffe]

Needs numpy and pillow, and per part: torch and torchvision (twice); these and onnxruntime (twice, the second time with
onnx as well); onnxruntime alone; paddlepaddle; torch and protobuf. Without a list, all parts whose packages are installed
run. `graphs` also takes presets, as graphs:paper,bvlc. Centred logits are compared with a bound of 1e-5 of the largest, for a random 256 x 256
image, which no preset resizes.
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
    """Centred logits of this program, from its probabilities."""
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
    print(f"{what}: differs by {off:.1e} of the largest{'  FAILED' if off > BOUND else ''}", flush=True)


def prepared(picture, crop, mean, std, scale=1.0, bgr=False):
    """The input as torchvision or Caffe prepares it: [1, 3, crop, crop]."""
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
    # A tensor that is a transposed view of another, and half precision.
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
        print("skipped: safetensors is not installed")
    else:
        there("ours.safetensors", "--names", "torchvision")
    zip_file.unlink()


def checkpoints_part(folder, picture):
    """AlexNets as users save them: other classifier layouts, wrappers, checkpoints, dtypes."""
    import torch
    import torchvision
    from torch import nn

    torch.manual_seed(3)
    net = torchvision.models.alexnet(num_classes=7).eval()
    state = net.state_dict()
    images = torch.tensor(prepared(picture, **TORCH))
    with torch.no_grad():
        wanted = net(images).numpy()

    def renamed(change):
        return {change(name): tensor for name, tensor in state.items()}

    def moved(**to):
        layer = lambda name: to.get("_" + name.split(".")[1], name.split(".")[1])
        return renamed(lambda name: f"classifier.{layer(name)}.{name.split('.')[2]}" if name.startswith("classifier") else name)

    lightning = {"epoch": 1, "global_step": 9, "pytorch-lightning_version": "2.4.0", "hyper_parameters": {"lr": 0.1},
                 "callbacks": {"ModelCheckpoint": {"best": 0.5}}, "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.1}]}]}  # fmt: skip
    parallel = nn.DataParallel(net)
    features = {name.replace("features.", "features.module."): tensor for name, tensor in state.items()}
    cases = {
        "dropout after its layer (0, 3, 6)": moved(_1="0", _4="3"),
        "no dropout (0, 2, 4)": moved(_1="0", _4="2", _6="4"),
        "dropout before each layer (1, 4, 7)": moved(_6="7"),
        "head in a Sequential": moved(_6="6.1"),
        "head in a Sequential, order 0, 3, 6": moved(_1="0", _4="3", _6="6.1"),
        "head in a Sequential of a DataParallel": {"module." + name: t for name, t in moved(_6="6.0").items()},
        "DataParallel": parallel.state_dict(),
        "DataParallel of the features, as PyTorch's ImageNet example": {"arch": "alexnet", "epoch": 9, "state_dict": features},
        "compiled": renamed(lambda name: "_orig_mod." + name),
        "Lightning": {**lightning, "state_dict": renamed(lambda name: "model." + name)},
        "fp16": {name: t.half() for name, t in state.items()},
        "bf16": {name: t.bfloat16() for name, t in state.items()},
        "f64": {name: t.double() for name, t in state.items()},
        "parameters": dict(net.named_parameters()),
        "with an optimizer": {"model_state_dict": state, "optimizer_state_dict": torch.optim.SGD(net.parameters(), 0.1, 0.9).state_dict()},
    }  # fmt: skip
    cases |= {f"under {prefix}": renamed(lambda name: prefix + name) for prefix in ("net.", "backbone.", "encoder.", "base.alexnet.")}
    cases |= {f"in {key}": {"epoch": 2, key: state} for key in ("model", "net", "state_dict", "weights")}
    path = folder / "case.pth"
    for what, saved in cases.items():
        torch.save(saved, path)
        right = wanted
        if what in ("fp16", "bf16"):
            rounded = torchvision.models.alexnet(num_classes=7).eval()
            rounded.load_state_dict({name: t.float() for name, t in saved.items()})
            with torch.no_grad():
                right = rounded(images).numpy()
        compare(f"torch.save, {what} -> alexnet", ours(path, picture), right)
    path.unlink()


def run(path, feed, optimised=True):
    """Logits of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: feed})[0]


def onnx_part(folder, picture):
    import onnxruntime  # noqa: F401
    import torch
    import torchvision

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
            print(f"torch.onnx.export, dynamo {dynamo}: skipped: needs {missing.name}")
            continue
        compare(f"torch.onnx.export, dynamo {dynamo} -> alexnet", ours(exported, picture), wanted)
    source.unlink()


def exports_part(folder, _):
    """Compares graphs of small AlexNets from exporters and converters with ONNX Runtime."""
    import onnx
    import onnxruntime  # noqa: F401
    import torch
    from onnx import TensorProto, helper, numpy_helper
    from torch import nn

    class Small(nn.Module):
        def __init__(self, norm="", pad=False):
            super().__init__()
            maps = lambda n: {"batch": [nn.BatchNorm2d(n)], "local": [nn.LocalResponseNorm(5, 1e-2, 0.75, 2.0)]}.get(norm, [])
            units = lambda n: [nn.BatchNorm1d(n)] if norm == "batch" else []
            first = [nn.ZeroPad2d(2), nn.Conv2d(3, 8, 11, 4)] if pad else [nn.Conv2d(3, 8, 11, 4, 2)]
            second = [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(8, 12, 5, 2)] if pad else [nn.Conv2d(8, 12, 5, padding=2)]
            pool = [nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)] if pad else [nn.MaxPool2d(3, 2)]
            self.features = nn.Sequential(*first, *maps(8), nn.ReLU(), nn.MaxPool2d(3, 2), *second, *maps(12), nn.ReLU(), *pool)
            with torch.no_grad():
                side = self.features.eval()(torch.zeros(1, 3, 127, 127)).shape[-1]
            self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(12 * side * side, 20), *units(20), nn.ReLU(), nn.Linear(20, 5))

        def forward(self, x):
            return self.classifier(torch.flatten(self.features(x), 1))

    def net(**options):
        torch.manual_seed(4)
        made = Small(**options)
        for module in made.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.uniform_(module.bias, -1, 1)
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.05, 0.3)
        return made.eval()

    example = torch.zeros(1, 3, 127, 127)
    path = folder / "graph.onnx"
    right = folder / "right.png"

    def check(what, feed=lambda x: x):
        about = json.loads(alexnet("inspect", path, "--json"))["preprocess"]
        if about is None:
            failed.append(what)
            print(f"{what}: {json.loads(alexnet('inspect', path, '--json'))['trouble']}  FAILED", flush=True)
            return
        side = next(iter(about["resize"].values()))
        Image.fromarray(np.random.default_rng(9).integers(0, 256, (side, side, 3), np.uint8)).save(right)
        images = prepared(right, about["crop"], about["mean"]["channel"], about["std"], about["scale"], about["channels"] == "bgr")
        # Its optimisations mistake a Pad of weights for one of maps.
        compare(f"{what} -> alexnet", ours(path, right), run(path, feed(images), optimised=False))

    def edited(what, change, feed=lambda x: x):
        model = onnx.load(path)
        change(model)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        check(what, feed)

    def export(made, dynamo=False, **options):
        torch.onnx.export(made, (example,), path, dynamo=dynamo, verbose=False, **options)

    for dynamo in (False, True):
        by = "dynamo" if dynamo else "script"
        for what, options in (("plain", {}), ("batch norm", {"norm": "batch"}), ("local norm", {"norm": "local"}), ("padding", {"pad": True})):
            try:
                export(net(**options), dynamo)
            except ModuleNotFoundError as missing:
                print(f"torch.onnx.export, dynamo {dynamo}: skipped: needs {missing.name}")
                break
            check(f"torch.onnx.export ({by}), {what}")
        equal = net()
        with torch.no_grad():
            for layer in (equal.features[0], equal.features[3]):
                layer.bias = nn.Parameter(torch.full_like(layer.bias, 0.1))
            equal.classifier[1].bias.fill_(0.2)
        export(equal, dynamo)
        check(f"torch.onnx.export ({by}), equal biases")
    export(net(norm="batch"), training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    check("torch.onnx.export, batch norm that is not folded")

    def weights(model):
        return {tensor.name: tensor for tensor in model.graph.initializer}

    def behind(op):
        """Produces every bias, and every weight with two or more axes, by a node."""

        def change(model):
            nodes, tensors = [], []
            for tensor in model.graph.initializer:
                values = numpy_helper.to_array(tensor)
                axes = list(range(values.ndim))
                kept, name = tensor.name + "_kept", tensor.name
                if op == "Transpose" and values.ndim >= 2:
                    order = axes[::-1]
                    nodes.append(helper.make_node("Transpose", [kept], [name], perm=[int(i) for i in np.argsort(order)]))
                    values = values.transpose(order)
                elif op == "Reshape":
                    tensors.append(numpy_helper.from_array(np.array(values.shape, np.int64), name + "_shape"))
                    nodes.append(helper.make_node("Reshape", [kept, name + "_shape"], [name]))
                    values = values.reshape(-1)
                elif op == "Unsqueeze":
                    tensors.append(numpy_helper.from_array(np.array([0], np.int64), name + "_axes"))
                    nodes.append(helper.make_node("Squeeze", [kept, name + "_axes"], [name]))
                    values = values[None]
                elif op == "Cast":
                    nodes.append(helper.make_node("Cast", [kept], [name], to=TensorProto.FLOAT))
                    values = values.astype(np.float16)
                elif op == "Constant":
                    nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values, name)))
                    continue
                elif op == "Identity":
                    nodes.append(helper.make_node("Identity", [kept], [name]))
                elif op == "Pad" and values.ndim == 4:
                    # Kernels one narrower than their window.
                    values = values.copy()
                    values[:, :, -1] = 0
                    tensors.append(numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 0], np.int64), name + "_pads"))
                    nodes.append(helper.make_node("Pad", [kept, name + "_pads"], [name]))
                    values = values[:, :, :-1]
                else:
                    kept = name
                tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), kept))
            del model.graph.initializer[:]
            model.graph.initializer.extend(tensors)
            rest = list(model.graph.node)
            del model.graph.node[:]
            model.graph.node.extend(nodes + rest)

        return change

    for op in ("Identity", "Transpose", "Reshape", "Unsqueeze", "Cast", "Constant", "Pad"):
        export(net())
        edited(f"weights from {op}", behind(op))

    def automatic(auto):
        def change(model):
            for node in model.graph.node:
                if node.op_type in ("Conv", "MaxPool"):
                    kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
                    del node.attribute[:]
                    node.attribute.extend(kept + [helper.make_attribute("auto_pad", auto)])
            side = {"SAME_UPPER": 8, "SAME_LOWER": 8, "VALID": 4}[auto]
            for tensor in model.graph.initializer:
                values = numpy_helper.to_array(tensor)
                if values.ndim == 2 and values.shape[0] == 20:
                    grown = np.random.default_rng(5).standard_normal((20, 12 * side * side), np.float32) * 0.1
                    tensor.CopyFrom(numpy_helper.from_array(grown, tensor.name))
            del model.graph.value_info[:]

        return change

    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        export(net())
        edited(f"auto_pad {auto}", automatic(auto))

    def channels_last(model):
        """Channels-last input and features, as written by tf2onnx."""
        graph = model.graph
        old = graph.input[0].name
        first = helper.make_node("Transpose", ["nhwc"], [old], perm=[0, 3, 1, 2])
        nodes = [first]
        for node in graph.node:
            if node.op_type == "Flatten":
                nodes.append(helper.make_node("Transpose", [node.input[0]], ["last"], perm=[0, 2, 3, 1]))
                graph.initializer.append(numpy_helper.from_array(np.array([1, -1], np.int64), "flat_shape"))
                nodes.append(helper.make_node("Reshape", ["last", "flat_shape"], list(node.output)))
            else:
                nodes.append(node)
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.input[:]
        graph.input.append(helper.make_tensor_value_info("nhwc", TensorProto.FLOAT, [1, 127, 127, 3]))
        del graph.value_info[:]

    nhwc = lambda images: np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    export(net())
    edited("channels last", channels_last, nhwc)
    export(net())
    edited("channels last, weights from Transpose", lambda model: (behind("Transpose")(model), channels_last(model)), nhwc)

    def scaled(model):
        """A folded batch norm: a per-channel product and sum."""
        nodes = []
        for node in model.graph.node:
            nodes.append(node)
            if node.op_type == "Conv":
                out = weights(model)[node.input[1]].dims[0]
                name, numbers = node.output[0], np.random.default_rng(out).uniform(0.5, 2, (2, out, 1, 1)).astype(np.float32)
                node.output[0] = name + "_conv"
                for part, values in zip(("scale", "shift"), numbers):
                    model.graph.initializer.append(numpy_helper.from_array(values, f"{name}_{part}"))
                nodes.append(helper.make_node("Mul", [name + "_conv", name + "_scale"], [name + "_scaled"]))
                nodes.append(helper.make_node("Add", [name + "_scaled", name + "_shift"], [name]))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        del model.graph.value_info[:]

    export(net())
    edited("a product and a sum after convolutions", scaled)

    # External data in one file, with and without lengths.
    export(net())
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="graph.data", size_threshold=64)
    check("external data")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        kept = [entry for entry in tensor.external_data if entry.key != "length"]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)
    onnx.save(model, path)
    check("external data without lengths")


PRESETS = ("torchvision", "paper", "bvlc", "caffenet", "alexnet-bn", "onnx-bvlc", "original-145", "owt", "paddle", "tutorial-code", "slim")


def graphs_part(folder, _, presets=PRESETS):
    """Compares presets as graphs with our own engine, with weights from a run of one step."""
    import onnxruntime  # noqa: F401

    for name in presets:
        run_folder = folder / name
        alexnet("-q", "train", "--net", name, "--epochs", 1, "--max-steps", 1, "--batch", 8, "--no-report", "--out", run_folder)
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
        wanted = ours(model, right)
        compare(f"{name}.onnx -> ONNX Runtime", run(path, feed), wanted)
        compare(f"{name}.onnx -> alexnet", ours(path, right), wanted)
        # The same with preprocessing in the graph, from the bytes of the centre crop.
        alexnet("convert", model, path, "--preprocess-in-graph")
        at = round((side - about["crop"]) / 2)
        middle = np.asarray(Image.open(right))[at : at + about["crop"], at : at + about["crop"]][None]
        compare(f"{name}.onnx fed RGB bytes -> ONNX Runtime", run(path, middle), wanted)
        for file in run_folder.iterdir():
            file.unlink()
        path.unlink()


def paddle_part(folder, picture):
    import paddle

    paddle.seed(2)
    net = paddle.vision.models.alexnet(num_classes=CLASSES)
    net.eval()
    images = paddle.to_tensor(prepared(picture, **TORCH))
    wanted = net(images).numpy()
    for protocol in (4, 2):
        path = folder / f"protocol{protocol}.pdparams"
        paddle.save(net.state_dict(), str(path), protocol=protocol)
        compare(f"paddle.save, protocol {protocol} -> alexnet", ours(path, picture), wanted)
    back, other = folder / "back.pdparams", folder / "torchvision.pth"
    alexnet("convert", path, back)
    theirs = paddle.vision.models.alexnet(num_classes=CLASSES)
    theirs.set_state_dict(paddle.load(str(back)))
    theirs.eval()
    compare("alexnet convert, back.pdparams -> Paddle", theirs(images).numpy(), wanted)
    back.unlink()
    # Through torchvision's net, which scales dropout in training: factors 1/2, 2, and 1 again.
    alexnet("convert", path, other)
    compare("paddle.save -> .pth -> alexnet", ours(other, picture), wanted)
    alexnet("convert", other, back)
    theirs.set_state_dict(paddle.load(str(back)))
    compare("paddle.save -> .pth -> .pdparams -> Paddle", theirs(images).numpy(), wanted)


def caffe_schema():
    """The parts of caffe.proto that a weight file uses, as a package of messages."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    number = descriptor_pb2.FieldDescriptorProto
    kinds = {"int": number.TYPE_INT64, "float": number.TYPE_FLOAT, "text": number.TYPE_STRING, "double": number.TYPE_DOUBLE}

    def message(title, /, **fields):
        new = file.message_type.add(name=title)
        for field, (at, kind, *flags) in fields.items():
            label = number.LABEL_REPEATED if "many" in flags or "packed" in flags else number.LABEL_OPTIONAL
            made = new.field.add(name=field, number=at, label=label)
            if kind in kinds:
                made.type = kinds[kind]
            else:
                made.type, made.type_name = number.TYPE_MESSAGE, f".caffe.{kind}"
            if "packed" in flags:
                made.options.packed = True

    message("BlobShape", dim=(1, "int", "packed"))
    message(
        "BlobProto",
        shape=(7, "BlobShape"),
        data=(5, "float", "packed"),
        double_data=(8, "double", "packed"),
        num=(1, "int"),
        channels=(2, "int"),
        height=(3, "int"),
        width=(4, "int"),
    )
    message("Convolution", num_output=(1, "int"), pad=(3, "int", "many"), kernel_size=(4, "int", "many"), group=(5, "int"), stride=(6, "int", "many"))
    message("Pooling", pool=(1, "int"), kernel_size=(2, "int"), stride=(3, "int"), pad=(4, "int"))
    message("LRN", local_size=(1, "int"), alpha=(2, "float"), beta=(3, "float"), k=(5, "float"))
    message("InnerProduct", num_output=(1, "int"))
    message("Dropout", dropout_ratio=(1, "float"))
    message("Transform", crop_size=(3, "int"), mean_value=(5, "float", "many"))
    message(
        "Layer",
        name=(1, "text"),
        type=(2, "text"),
        bottom=(3, "text", "many"),
        top=(4, "text", "many"),
        blobs=(7, "BlobProto", "many"),
        transform_param=(100, "Transform"),
        convolution_param=(106, "Convolution"),
        dropout_param=(108, "Dropout"),
        inner_product_param=(117, "InnerProduct"),
        lrn_param=(118, "LRN"),
        pooling_param=(121, "Pooling"),
    )
    message("V0", name=(1, "text"), type=(2, "text"), num_output=(3, "int"), pad=(7, "int"), kernelsize=(8, "int"), group=(9, "int"),
            stride=(10, "int"), pool=(11, "int"), local_size=(13, "int"), alpha=(14, "float"), beta=(15, "float"), cropsize=(20, "int"),
            blobs=(50, "BlobProto", "many"))  # fmt: skip
    message(
        "V1",
        layer=(1, "V0"),
        bottom=(2, "text", "many"),
        top=(3, "text", "many"),
        name=(4, "text"),
        type=(5, "int"),
        blobs=(6, "BlobProto", "many"),
        convolution_param=(10, "Convolution"),
        dropout_param=(12, "Dropout"),
        inner_product_param=(17, "InnerProduct"),
        lrn_param=(18, "LRN"),
        pooling_param=(19, "Pooling"),
        transform_param=(36, "Transform"),
    )
    message("Net", name=(1, "text"), layers=(2, "V1", "many"), layer=(100, "Layer", "many"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


def caffe_layers(net):
    """(name, type, settings, weight shape) of the layers of bvlc_alexnet or caffenet."""
    conv = lambda out, kernel, stride, pad, group: dict(num_output=out, kernel_size=kernel, stride=stride, pad=pad, group=group)
    pool = dict(pool=0, kernel_size=3, stride=2)
    norm = dict(local_size=5, alpha=1e-4, beta=0.75)
    widths = [("conv1", conv(96, 11, 4, 0, 1), (96, 3, 11, 11)), ("conv2", conv(256, 5, 1, 2, 2), (256, 48, 5, 5)),
              ("conv3", conv(384, 3, 1, 1, 1), (384, 256, 3, 3)), ("conv4", conv(384, 3, 1, 1, 2), (384, 192, 3, 3)),
              ("conv5", conv(256, 3, 1, 1, 2), (256, 192, 3, 3))]  # fmt: skip
    layers = []
    for i, (name, settings, shape) in enumerate(widths, 1):
        layers += [(name, "convolution", settings, shape), (f"relu{i}", "relu", None, None)]
        pools, norms = (f"pool{i}", "pooling", pool, None), (f"norm{i}", "lrn", norm, None)
        if i <= 2:
            layers += [norms, pools] if net == "bvlc" else [pools, norms]
        if i == 5:
            layers.append(pools)
    for i, shape in ((6, (4096, 9216)), (7, (4096, 4096)), (8, (CLASSES, 4096))):
        layers.append((f"fc{i}", "inner_product", dict(num_output=shape[0]), shape))
        if i < 8:
            layers += [(f"relu{i}", "relu", None, None), (f"drop{i}", "dropout", dict(dropout_ratio=0.5), None)]
    return layers


def caffe_forward(layers, weights, images):
    """Caffe's forward pass in PyTorch."""
    import torch
    from torch.nn import functional as F

    x = torch.tensor(images)
    with torch.no_grad():
        for name, kind, settings, _ in layers:
            w = [torch.tensor(v) for v in weights.get(name, [])]
            if kind == "convolution":
                x = F.conv2d(x, *w, stride=settings["stride"], padding=settings["pad"], groups=settings["group"])
            elif kind == "relu":
                x = F.relu(x)
            elif kind == "lrn":
                x = F.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
            elif kind == "pooling":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            elif kind == "inner_product":
                x = F.linear(x.flatten(1), *w)
    return x.numpy()


def caffe_part(folder, picture):
    schema = caffe_schema()
    random = np.random.default_rng(3)
    images = prepared(picture, **CAFFE)
    types = {"convolution": ("Convolution", 4, "conv"), "relu": ("ReLU", 18, "relu"), "lrn": ("LRN", 15, "lrn"),
             "pooling": ("Pooling", 17, "pool"), "inner_product": ("InnerProduct", 14, "innerproduct"),
             "dropout": ("Dropout", 6, "dropout")}  # fmt: skip

    def blob(blobs, values, legacy):
        new = blobs.add()
        new.data.extend(values.reshape(-1).tolist())
        if legacy:
            new.num, new.channels, new.height, new.width = (1,) * (4 - values.ndim) + values.shape
        else:
            new.shape.dim.extend(values.shape)

    for net, generation in (("bvlc", 1), ("caffenet", 2), ("bvlc", 0)):
        layers = caffe_layers(net)
        weights = {
            name: [
                (random.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32),
                random.standard_normal(shape[0], np.float32) * np.float32(0.1),
            ]
            for name, _, _, shape in layers
            if shape
        }
        message = schema("Net")(name=net)
        bottom = "data"
        for name, kind, settings, shape in layers:
            current, old, oldest = types[kind]
            layer = message.layer.add() if generation == 2 else message.layers.add()
            if generation == 0:
                inner = layer.layer
                inner.name, inner.type = name, oldest
                renamed = {"kernel_size": "kernelsize", "dropout_ratio": None}
                for key, value in (settings or {}).items():
                    key = renamed.get(key, key)
                    if key:
                        setattr(inner, key, value)
                blobs = inner.blobs
            else:
                layer.name, layer.type = name, current if generation == 2 else old
                layer.bottom.append(bottom)
                layer.top.append(name)
                bottom = name
                for key, value in (settings or {}).items():
                    target = getattr(layer, f"{kind}_param")
                    try:
                        setattr(target, key, value)
                    except (AttributeError, TypeError):
                        getattr(target, key).append(value)
                blobs = layer.blobs
            for values in weights.get(name, []):
                blob(blobs, values, legacy=generation < 2)
        path = folder / "theirs.caffemodel"
        path.write_bytes(message.SerializeToString())
        del message
        wanted = caffe_forward(layers, weights, images)
        found = json.loads(alexnet("inspect", path, "--json"))["net"]
        if found != net:
            failed.append(f"{net} was identified as {found}")
        compare(f"protobuf, {net} of generation {generation} -> alexnet", ours(path, picture), wanted)
        back = folder / "back.caffemodel"
        alexnet("convert", path, back)
        theirs = schema("Net")()
        theirs.ParseFromString(back.read_bytes())
        read = {}
        for layer in theirs.layer:
            if layer.blobs:
                read[layer.name] = [np.array(b.data, np.float32).reshape(tuple(b.shape.dim)) for b in layer.blobs]
        compare(f"alexnet convert, {net} -> protobuf", caffe_forward(layers, read, images), wanted)
        compare(f"alexnet convert, {net} -> alexnet", ours(back, picture), wanted)
        back.unlink()


PARTS = {
    "torch": torch_part,
    "checkpoints": checkpoints_part,
    "onnx": onnx_part,
    "exports": exports_part,
    "graphs": graphs_part,
    "paddle": paddle_part,
    "caffe": caffe_part,
}


def main():
    wanted = sys.argv[2:] or list(PARTS)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        picture = folder / "picture.png"
        Image.fromarray(np.random.default_rng(7).integers(0, 256, (256, 256, 3), np.uint8)).save(picture)
        for name in wanted:
            name, _, presets = name.partition(":")
            try:
                PARTS[name](folder, picture, *([presets.split(",")] if presets else []))
            except ImportError as missing:
                if sys.argv[2:]:
                    raise
                print(f"{name}: skipped: {missing}")
    if failed:
        raise SystemExit(f"{len(failed)} failed: {', '.join(failed)}")


main()
