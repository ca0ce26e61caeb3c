#!/usr/bin/env python3
"""Generates small files with the original tools, for the reader tests: crates/alexnet-formats/tests/fixtures.

    python tools/make_weight_goldens.py torch      (PyTorch: zip, legacy and tar containers; the onnx package's own test case)
    python tools/make_weight_goldens.py exports    (PyTorch's two exporters to ONNX; needs onnxscript)
    python tools/make_weight_goldens.py paddle     (Paddle: protocols 4 and 2)

Each holds `conv1.weight` [2, 3], 0 to 5 in steps of 0.5, `conv1.bias` [2], -1 and 2, and other features of its format.
"""

import io
import pickle
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "crates/alexnet-formats/tests/fixtures"
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3) * 0.5
BIAS = np.array([-1, 2], np.float32)


def torch_files():
    import torch

    weight, bias = torch.tensor(WEIGHT), torch.tensor(BIAS)
    state = {
        "conv1.weight": weight,
        "conv1.bias": bias,
        "transposed": weight.t(),  # a view: strides (1, 3)
        "sliced": weight[:, 1:],  # a view: offset 1
        "half": weight.half(),
        "bfloat": weight.bfloat16(),
        "double": weight.double(),
        "count": torch.tensor(7),
    }
    torch.save(state, FOLDER / "zip.pth")
    torch.save(state, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
    checkpoint = {"epoch": 3, "state_dict": {"module." + k: v for k, v in state.items()}, "optimizer": {"state": {}, "lr": 0.1}}
    torch.save(checkpoint, FOLDER / "checkpoint.pth")
    # Everything that weights_only=True accepts; and what it rejects, in a separate checkpoint.
    expanded = {"conv1.weight": weight, "conv1.bias": torch.full((1,), 2.0).expand(2)}
    beside = {"kinds": [torch.int32, torch.uint8, torch.float8_e4m3fn], "complex": torch.ones(3, dtype=torch.complex64)}
    beside |= {"sparse": torch.eye(3).to_sparse(), "size": torch.Size([1])}
    for name, new in [("beside.pth", True), ("beside_legacy.pth", False)]:
        # The legacy container cannot store the newer dtypes.
        more = {"unsigned": torch.ones(3, dtype=torch.uint16)} if new else {}
        torch.save({"model_state": expanded, **beside, **more}, FOLDER / name, _use_new_zipfile_serialization=new)
        torch.load(FOLDER / name, weights_only=True)
    torch.save({"state_dict": expanded, "scores": np.zeros(2), "folder": Path("runs")}, FOLDER / "numpy_beside.pth")
    tar_file(state)


class Kept:
    """A tensor stored outside the pickle, which refers to it."""

    def __init__(self, key):
        self.key = key


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.key if isinstance(value, Kept) else None


def tar_file(state):
    """Writes the format of torch.save before 0.1.10, after `legacy_load` in torch/serialization.py; no later version writes it."""
    import torch

    storages, tensors = io.BytesIO(), io.BytesIO()
    kinds = {torch.float32: (torch.FloatStorage, torch.FloatTensor), torch.int64: (torch.LongStorage, torch.LongTensor)}
    kept = {name: t for name, t in state.items() if t.dtype in kinds}
    pickle.dump(len(kept), storages, 2)
    pickle.dump(len(kept), tensors, 2)
    for i, (name, tensor) in enumerate(kept.items()):
        storage_class, tensor_class = kinds[tensor.dtype]
        values = tensor.untyped_storage()
        pickle.dump((i, "cpu", storage_class), storages, 2)
        storages.write(struct.pack("<q", len(values) // tensor.element_size()))
        storages.write(bytes(values))
        pickle.dump((100 + i, i, tensor_class), tensors, 2)
        tensors.write(struct.pack("<ii", tensor.dim(), 0))
        tensors.write(struct.pack(f"<{tensor.dim()}q", *tensor.shape))
        tensors.write(struct.pack(f"<{tensor.dim()}q", *tensor.stride()))
        tensors.write(struct.pack("<q", tensor.storage_offset()))
    pickle.dump([], storages, 2)
    names = io.BytesIO()
    Pickler(names, 2).dump({name: Kept(100 + i) for i, name in enumerate(kept)})
    with tarfile.open(FOLDER / "tar.pth", "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("sys_info", io.BytesIO(pickle.dumps({"little_endian": True}, 2))), ("pickle", names),
                              ("tensors", tensors), ("storages", storages)):  # fmt: skip
            about = tarfile.TarInfo(name)
            about.size = len(content.getvalue())
            content.seek(0)
            tar.addfile(about, content)
    back = torch.load(FOLDER / "tar.pth", weights_only=False)
    assert all(torch.equal(back[name], tensor) for name, tensor in kept.items())


def paddle_files():
    import paddle

    state = {"conv1.weight": paddle.to_tensor(WEIGHT), "conv1.bias": paddle.to_tensor(BIAS)}
    for protocol in (4, 2):
        paddle.save(state, str(FOLDER / f"protocol{protocol}.pdparams"), protocol=protocol)
    with open(FOLDER / "fortran.pdparams", "wb") as file:
        pickle.dump({"conv1.weight": np.asfortranarray(WEIGHT), "conv1.bias": ("linear_0.b_0", BIAS)}, file, 4)


def exported_files():
    """Exports LocalResponseNorm, which both exporters decompose, each in its own way; and stores the net's output
    for the input 0, 0.01, 0.02, ... modulo 1."""
    import onnx
    import torch
    from torch import nn

    torch.manual_seed(1)
    norm = nn.LocalResponseNorm(5, 0.5, 0.75, 2.0)  # strong, so that omitting it is detected
    features = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), norm, nn.MaxPool2d(3, 2))
    net = nn.Sequential(features, nn.Flatten(), nn.Linear(6 * 3 * 3, 4)).eval()
    picture = (torch.arange(3 * 15 * 15) * 0.01 % 1).reshape(1, 3, 15, 15)
    torch.onnx.export(net, (picture,), str(FOLDER / "norm_script.onnx"), dynamo=False)
    torch.onnx.export(net, (picture,), str(FOLDER / "norm_dynamo.onnx"), dynamo=True, external_data=False)
    # Remove each node's reference to its Python source file.
    model = onnx.load(FOLDER / "norm_dynamo.onnx")
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]
    onnx.save(model, FOLDER / "norm_dynamo.onnx")
    with torch.no_grad():
        (FOLDER / "norm_output.f32").write_bytes(net(picture).numpy().tobytes())


FOLDER.mkdir(exist_ok=True)
if sys.argv[1] == "exports":
    exported_files()
elif sys.argv[1] == "torch":
    import shutil

    import onnx

    torch_files()
    cases = Path(onnx.__file__).parent / "backend/test/data/light"
    for name in ("light_bvlc_alexnet.onnx", "light_bvlc_alexnet_output_0.pb"):
        shutil.copy(cases / name, FOLDER / name)
else:
    paddle_files()
