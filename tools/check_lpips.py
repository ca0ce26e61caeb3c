#!/usr/bin/env python3
"""LPIPS of this program against the Python package `lpips` (pip install lpips torch torchvision pillow).

    python tools/check_lpips.py compare target/release/alexnet    random trunks as .pth, pictures of several sizes, with and without heads
    python tools/check_lpips.py golden                            the figures of crates/alexnet/src/lpips/golden.json

The trunk of the golden figures and their pictures come from the formula of crates/alexnet/src/selftest/formula.rs, so only figures
are kept. The heads are the package's own, weights/v0.1/alex.pth.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lpips
import numpy as np
import torch
import torchvision
from PIL import Image

BOUND = 1e-4
HEADS = Path(lpips.__file__).parent / "weights/v0.1/alex.pth"
# Rows and columns: the usual patch, odd and oblong ones, and the net's own.
SIZES = [(64, 64), (31, 31), (97, 130), (131, 64), (224, 224)]


def metric(state, learned):
    """The package's metric on a trunk of our choice."""
    found = lpips.LPIPS(net="alex", lpips=learned, pnet_rand=True, verbose=False)
    trunk = {name.split(".", 1)[1]: value for name, value in state.items() if name.startswith("features.")}
    for part in (found.net.slice1, found.net.slice2, found.net.slice3, found.net.slice4, found.net.slice5):
        for name, layer in part.named_children():
            if f"{name}.weight" in trunk:
                layer.weight.data = trunk[f"{name}.weight"].clone()
                layer.bias.data = trunk[f"{name}.bias"].clone()
    return found.eval()


def distance(found, a, b):
    with torch.no_grad():
        total, layers = found(lpips.im2tensor(a), lpips.im2tensor(b), retPerLayer=True)
    return float(total), [float(layer) for layer in layers]


def uniform(seed, n, scale):
    """The formula, as in make_golden.py of the self-test."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2.0**24
    return ((2.0 * u - 1.0) * scale).astype(np.float32)


def golden():
    state = {}
    for i, (layer, shape) in enumerate(
        {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}.items()
    ):
        scale = float(np.sqrt(3.0 / np.prod(shape[1:])))
        weight = uniform(1000 + 2 * i, int(np.prod(shape)), scale).reshape(shape)
        state[f"features.{layer}.weight"] = torch.tensor(weight)
        state[f"features.{layer}.bias"] = torch.tensor(uniform(1001 + 2 * i, shape[0], 0.1))
    learned, plain = metric(state, True), metric(state, False)
    cases = []
    for k, (rows, columns) in enumerate(SIZES):
        pictures = [np.floor((uniform(2000 + 2 * k + i, rows * columns * 3, 1.0) + 1) * 127.99) for i in range(2)]
        # The second is the first with noise, so that small distances are compared too.
        pictures[1] = np.floor(pictures[0] * 0.75 + pictures[1] * 0.25)
        a, b = (picture.reshape(rows, columns, 3).astype(np.uint8) for picture in pictures)
        with_heads, without = distance(learned, a, b), distance(plain, a, b)
        cases.append(
            {"rows": rows, "columns": columns, "learned": with_heads[0], "learned_layers": with_heads[1], "plain": without[0]}
        )
    print(json.dumps({"made_by": f"lpips {lpips_version()}, torch {torch.__version__}", "cases": cases}, indent=1))


def lpips_version():
    from importlib.metadata import version

    return version("lpips")


def compare(program):
    worst, count = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for seed in range(2):
            torch.manual_seed(seed)
            net = torchvision.models.alexnet(num_classes=10).eval()
            model = folder / "trunk.pth"
            torch.save(net.state_dict(), model)
            rng = np.random.default_rng(seed)
            (folder / "a").mkdir(exist_ok=True)
            (folder / "b").mkdir(exist_ok=True)
            pictures = {}
            for k, (rows, columns) in enumerate(SIZES):
                smooth = rng.integers(0, 256, (rows // 8 + 1, columns // 8 + 1, 3), dtype=np.uint8)
                a = np.asarray(Image.fromarray(smooth).resize((columns, rows), Image.BICUBIC))
                noise = rng.normal(0, [2, 10, 40][k % 3], a.shape)
                b = np.clip(a + noise, 0, 255).astype(np.uint8)
                Image.fromarray(a).save(folder / f"a/{k}.png")
                Image.fromarray(b).save(folder / f"b/{k}.png")
                pictures[str(k)] = a, b
            for learned in (True, False):
                options = ["--linear", HEADS] if learned else []
                done = subprocess.run(
                    [program, "-q", "lpips", folder / "a", folder / "b", "--model", model, *options, "--json"],
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                found = metric(net.state_dict(), learned)
                for pair in json.loads(done.stdout)["pairs"]:
                    wanted, layers = distance(found, *pictures[pair["name"]])
                    off = abs(pair["distance"] - wanted)
                    off = max([off, *(abs(a - b) for a, b in zip(pair["layers"], layers))])
                    worst, count = max(worst, off), count + 1
                    rows, columns = pictures[pair["name"]][0].shape[:2]
                    kind = "learned" if learned else "baseline"
                    print(f"{kind}, {columns} x {rows}: {pair['distance']:.6f}, lpips {wanted:.6f}, off by {off:.1e}")
    print(f"{count} comparisons, off by {worst:.1e} at most")
    sys.exit(worst > BOUND or not count)


if __name__ == "__main__":
    if sys.argv[1:] == ["golden"]:
        golden()
    elif len(sys.argv) == 3 and sys.argv[1] == "compare":
        compare(sys.argv[2])
    else:
        raise SystemExit(__doc__)
