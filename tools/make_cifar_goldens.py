#!/usr/bin/env python3
"""PyTorch's values for the self-test of cuda-convnet's CIFAR-10 nets, in float64.

    python tools/make_cifar_goldens.py crates/alexnet/golden

Weights and images are those of the formula in crates/alexnet/src/selftest/formula.rs. PyTorch has no locally connected layer, no
normalisation within a map and no response normalisation without padding of its own, so that all three are written out here.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from make_local_conv_goldens import local_conv

SEED, BATCH, CLASSES = 1, 2, 10
RATES, MOMENTUM, DECAY = [0.002, 0.002, 0.0002], 0.9, 0.05


def uniform(seed, length, scale):
    """SplitMix64, as the formula has it."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, length + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**24
    return ((2 * u - 1) * scale).astype(np.float32).astype(np.float64)


def tell(values, probe_seed):
    flat = values.detach().double().flatten().numpy()
    return {
        "shape": list(values.shape),
        "mean": flat.mean(),
        "l2": float(np.sqrt((flat**2).sum())),
        "first": flat[:8].tolist(),
        "probe": float((flat * uniform(probe_seed, flat.size, 1.0)).sum()),
    }


def across(x, size=5, scale=0.001, power=0.75):
    """LRN over channels with k = 1, scale divided by the window's size."""
    squares = F.pad(x * x, (0, 0, 0, 0, size // 2, size // 2))
    sums = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x * (1 + scale / size * sums) ** -power


def within(x, size=3, scale=5e-5, power=0.75):
    """The same over size x size pixels of a map, scale divided by the window's area."""
    sums = F.avg_pool2d(x * x, size, 1, size // 2, divisor_override=1)
    return x * (1 + scale / size**2 * sums) ** -power


def max_pool(x):
    return F.max_pool2d(x, 3, 2, ceil_mode=True)


def avg_pool(x):
    return F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False)


# Layers: a convolution or local layer is (name, outputs, kernel), others are (name, function); "shown" is the report's name.
def net_18():
    return 32, [
        ("conv1", 32, 5), ("pool1", max_pool), ("relu1", F.relu), ("norm1", within),
        ("conv2", 32, 5), ("relu2", F.relu), ("pool2", avg_pool), ("norm2", within),
        ("conv3", 64, 5), ("relu3", F.relu), ("pool3", avg_pool), ("fc10", CLASSES),
    ]  # fmt: skip


def net_13(norm=None):
    first = lambda i: [(f"conv{i}", 64, 5), (f"relu{i}", F.relu)] + ([(f"norm{i}", norm)] if norm else []) + [(f"pool{i}", max_pool)]
    rest = [("local3", 32, 3), ("relu3", F.relu), ("local4", 32, 3), ("relu4", F.relu), ("fc10", CLASSES)]
    return 24, first(1) + first(2) + rest


NETS = {"cifar-18pct": net_18(), "cifar-13pct": net_13(), "cifar-11pct": net_13(across)}


def parameters(size, layers, normalised):
    """Shapes and values: weights at scale sqrt(3 / fan_in), a tenth of it for conv3 of a normalised net, biases at 0.1."""
    made, channels, t = {}, 3, 0
    for name, *rest in layers:
        if name.startswith("pool"):
            size = -(-(size - 3) // 2) + 1
        if callable(rest[0]):
            continue
        out = rest[0]
        if name.startswith("conv"):
            shape, bias = [out, channels, rest[1], rest[1]], [out]
        elif name.startswith("local"):
            shape, bias = [size * size, out, channels, rest[1], rest[1]], [size * size, out]
        else:
            shape, bias = [out, channels * size * size], [out]
        fan_in = int(np.prod(shape[len(bias) :]))
        scale = np.sqrt(3.0 / fan_in) * (0.1 if normalised and name == "conv3" else 1.0)
        for part, shape, scale in (("weight", shape, scale), ("bias", bias, 0.1)):
            values = torch.from_numpy(uniform(1000 * SEED + t, int(np.prod(shape)), scale)).reshape(shape)
            made[f"{name}.{part}"] = values.requires_grad_()
            t += 1
        channels = out
    return made


def forward(layers, values, x, shown):
    for i, (name, *rest) in enumerate(layers):
        if callable(rest[0]):
            x = rest[0](x)
        else:
            weight, bias = values[f"{name}.weight"], values[f"{name}.bias"]
            if name.startswith("conv"):
                x = F.conv2d(x, weight, bias, padding=rest[1] // 2)
            elif name.startswith("local"):
                x = local_conv(x, weight, bias, 1, rest[1] // 2)
            else:
                x = F.linear(x.flatten(1), weight, bias)
        if not name.startswith("relu"):
            # Pools are shown after the ReLU that follows them.
            after = F.relu(x) if name.startswith("pool") and layers[i + 1][0].startswith("relu") else x
            shown[name] = after
    return x


def report(name):
    size, layers = NETS[name]
    normalised = any(layer[0].startswith("norm") for layer in layers)
    values = parameters(size, layers, normalised)
    images = uniform(1000 * SEED + 100, BATCH * 3 * size * size, 30.0 if normalised else 2.0)
    images = torch.from_numpy(images).reshape(BATCH, 3, size, size)
    labels = torch.tensor([(7 * n + 3) % CLASSES for n in range(BATCH)])
    shown = {}
    logits = forward(layers, values, images, shown)
    F.cross_entropy(logits, labels).backward()
    probes = {parameter: 1000 * SEED + 900 + t for t, parameter in enumerate(values)}
    gradients = {parameter: tell(value.grad, probes[parameter]) for parameter, value in values.items()}
    before = {parameter: value.detach().clone() for parameter, value in values.items()}
    velocity = {parameter: torch.zeros_like(value) for parameter, value in values.items()}
    losses = []
    for rate in RATES:
        rate *= 0.25 if normalised else 1.0
        for value in values.values():
            value.grad = None
        loss = F.cross_entropy(forward(layers, values, images, {}), labels)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for parameter, value in values.items():
                decay = DECAY if parameter.endswith("weight") else 0.0
                velocity[parameter] = MOMENTUM * velocity[parameter] - rate * (value.grad + decay * value)
                value += velocity[parameter]
    return {
        "net": name,
        "seed": SEED,
        "batch": BATCH,
        "classes": CLASSES,
        "input_size": size,
        "framework": f"torch {torch.__version__}, float64",
        "parameters": sum(value.numel() for value in values.values()),
        "activations": {layer: tell(value, 1000 * SEED + 950) for layer, value in shown.items()},
        "probabilities_first": torch.softmax(logits[0], 0)[:8].tolist(),
        "losses": losses,
        "gradients": gradients,
        "update": {name: tell(value - before[name], probes[name]) for name, value in values.items()},
    }


if __name__ == "__main__":
    assert np.allclose(uniform(1000, 3, 1.0), [-0.5303122997283936, 0.6287418603897095, 0.5468266010284424], rtol=1e-7)
    for name in NETS:
        with open(f"{sys.argv[1]}/{name}.seed1.json", "w") as out:
            json.dump(report(name), out, indent=1)
            out.write("\n")
