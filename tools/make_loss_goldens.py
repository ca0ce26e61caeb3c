#!/usr/bin/env python3
"""Losses and gradients of PyTorch, for the tests of alexnet-kernels.

    python tools/make_loss_goldens.py > crates/alexnet-kernels/tests/fixtures/losses.json

Cross-entropy with label smoothing, class weights and mixed labels is `torch.nn.functional.cross_entropy`, reduced to its mean:
class indices are divided by the sum of their weights, distributions by the number of images. The focal loss over a softmax
is autograd's gradient of its formula; for two classes it is torchvision's `sigmoid_focal_loss` of the difference of the logits.
All in float64, from logits that float32 represents exactly.
"""

import json

import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

torch.manual_seed(7)
IMAGES, CLASSES = 4, 5
WEIGHTS = [0.5, 2.0, 1.25, 0.125, 3.0]
LABELS = [3, 0, 4, 1]
SECOND = [1, 0, 2, 4]
SHARES = [0.25, 0.5, 0.75, 0.0]


def focal(logits, targets, weights, smoothing, gamma):
    targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    log_p = torch.log_softmax(logits, 1)
    return -(weights * targets * (1 - log_p.exp()) ** gamma * log_p).sum()


def case(logits, labels, mixed, weights, smoothing, gamma):
    logits = logits.clone().requires_grad_()
    classes = logits.shape[1]
    w = torch.tensor(weights, dtype=torch.float64) if weights else None
    index = torch.tensor(labels)
    if mixed:
        shares = torch.tensor(SHARES, dtype=torch.float64)[:, None]
        targets = F.one_hot(index, classes) * (1 - shares) + F.one_hot(torch.tensor(SECOND), classes) * shares
    else:
        targets = F.one_hot(index, classes).double()
    if gamma:
        ones = torch.ones(classes, dtype=torch.float64)
        divisor = len(labels) if mixed or w is None else w[index].sum()
        loss = focal(logits, targets, ones if w is None else w, smoothing, gamma) / divisor
        if classes == 2 and not mixed and not smoothing and w is None:
            same = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], index.double(), alpha=-1, gamma=gamma, reduction="mean")
            assert torch.allclose(loss, same), (loss, same)
    else:
        loss = F.cross_entropy(logits, targets if mixed else index, weight=w, label_smoothing=smoothing)
    loss.backward()
    return {
        "logits": logits.detach().flatten().tolist(),
        "labels": labels,
        "second": SECOND if mixed else [],
        "shares": SHARES if mixed else [],
        "class_weights": weights or [],
        "smoothing": smoothing,
        "focal": gamma,
        "loss": loss.item(),
        "gradient": logits.grad.flatten().tolist(),
    }


def logits(classes):
    return (torch.randn(IMAGES, classes) * 3).double()


cases = []
for gamma in [0.0, 0.5, 2.0]:
    for weights in [None, WEIGHTS]:
        for smoothing in [0.0, 0.1]:
            for mixed in [False, True]:
                cases.append(case(logits(CLASSES), LABELS, mixed, weights, smoothing, gamma))
cases.append(case(logits(2), [0, 1, 1, 0], False, None, 0.0, 2.0))
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
