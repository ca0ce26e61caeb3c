#!/usr/bin/env python3
"""A locally connected layer and its gradients by PyTorch, for the tests of alexnet-kernels.

    python tools/make_local_conv_goldens.py > crates/alexnet-kernels/tests/fixtures/local_conv.json

PyTorch has no such layer: it is `unfold` and an `einsum` over each place's own weights [places, out, in, R, S], and the gradients
are autograd's. All inputs are multiples of 1/8, so that every sum is exact.
"""

import json

import torch
import torch.nn.functional as F


def local_conv(x, weight, bias, stride, pad):
    """x [n, in, h, w], weight [places, out, in, R, S], bias [places, out]."""
    places, outputs, channels, rows, columns = weight.shape
    windows = F.unfold(x, (rows, columns), stride=stride, padding=pad)  # [n, in R S, places]
    y = torch.einsum("nip,poi->npo", windows, weight.reshape(places, outputs, -1)) + bias
    height = (x.shape[2] + 2 * pad - rows) // stride + 1
    return y.permute(0, 2, 1).reshape(x.shape[0], outputs, height, -1)


def numbers(generator, *shape):
    return torch.randint(-8, 9, shape, generator=generator).double() / 8


def case(n, channels, outputs, height, width, kernel, stride, pad):
    generator = torch.Generator().manual_seed(21)
    rows, columns = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    x = numbers(generator, n, channels, height, width).requires_grad_()
    weight = numbers(generator, rows * columns, outputs, channels, kernel, kernel).requires_grad_()
    bias = numbers(generator, rows * columns, outputs).requires_grad_()
    y = local_conv(x, weight, bias, stride, pad)
    dy = numbers(generator, *y.shape)
    y.backward(dy)
    sizes = dict(n=n, channels=channels, outputs=outputs, height=height, width=width, kernel=kernel, stride=stride, pad=pad)
    tensors = dict(x=x, weight=weight, bias=bias, dy=dy, y=y, dx=x.grad, dweight=weight.grad, dbias=bias.grad)
    return sizes | {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


if __name__ == "__main__":
    cases = [case(2, 2, 3, 3, 4, 3, 1, 1), case(3, 2, 2, 5, 4, 2, 2, 0)]
    print("[" + ",\n".join(json.dumps(one) for one in cases) + "]")
