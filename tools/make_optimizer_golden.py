#!/usr/bin/env python3
"""Runs twenty steps of a PyTorch optimizer on a few weights, for the tests of alexnet-kernels.

    python tools/make_optimizer_golden.py adamw > crates/alexnet-kernels/tests/fixtures/adamw.json
    python tools/make_optimizer_golden.py sgd_nesterov > crates/alexnet-kernels/tests/fixtures/sgd_nesterov.json

Gradients differ widely in size, one weight's is always 0, and weight decay is large enough to matter.
"""

import json
import sys

import torch

STEPS = 20
LR, WEIGHT_DECAY = 0.01, 0.1
OPTIMIZERS = {
    "adamw": lambda weights: torch.optim.AdamW([weights], lr=LR, weight_decay=WEIGHT_DECAY),
    "sgd_nesterov": lambda weights: torch.optim.SGD([weights], lr=LR, momentum=0.9, weight_decay=WEIGHT_DECAY, nesterov=True),
}

torch.manual_seed(1)
weights = torch.nn.Parameter(torch.randn(7) * 0.5)
optimizer = OPTIMIZERS[sys.argv[1]](weights)
sizes = torch.tensor([1e-6, 1e-3, 0.1, 1.0, 30.0, 1e4, 0.0])
seen, gradients = [weights.detach().tolist()], []
for _ in range(STEPS):
    weights.grad = torch.randn(7) * sizes
    gradients.append(weights.grad.tolist())
    optimizer.step()
    seen.append(weights.detach().tolist())
rows = lambda values: "[\n    " + ",\n    ".join(json.dumps(row) for row in values) + "\n  ]"
print(f'{{\n  "lr": {LR},\n  "weight_decay": {WEIGHT_DECAY},\n  "gradients": {rows(gradients)},\n  "weights": {rows(seen)}\n}}')
