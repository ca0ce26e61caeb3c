#!/usr/bin/env python3
"""Learning rates of torch.optim.lr_scheduler, for the tests of alexnet's schedules.

    python tools/make_schedule_golden.py > crates/alexnet/tests/fixtures/schedules.json
"""

import json
import warnings

import torch
from torch.optim import lr_scheduler as schedulers

warnings.simplefilter("ignore")
EPOCHS, STEPS, LR, WARMUP = 6, 5, 0.1, 7
ALL = EPOCHS * STEPS


def case(schedule, make, warmup=0, losses=None):
    """Rates of each step; schedulers are stepped after each batch, a plateau after each epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    if warmup:
        rise = schedulers.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        scheduler = schedulers.SequentialLR(optimizer, [rise, make(optimizer, ALL - warmup)], milestones=[warmup])
    else:
        scheduler = make(optimizer, ALL)
    rates = []
    for step in range(ALL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if losses is None:
            scheduler.step()
        elif (step + 1) % STEPS == 0:
            scheduler.step(losses[step // STEPS])
    extra = {"losses": losses} if losses else {}
    return {"schedule": schedule, "epochs": EPOCHS, "steps_per_epoch": STEPS, "warmup": warmup, "lr": LR, **extra, "rates": rates}


constant = lambda optimizer, steps: schedulers.ConstantLR(optimizer, factor=1.0, total_iters=steps)
cosine = lambda end: lambda optimizer, steps: schedulers.CosineAnnealingLR(optimizer, T_max=steps, eta_min=LR * end)
polynomial = lambda power: lambda optimizer, steps: schedulers.PolynomialLR(optimizer, total_iters=steps, power=power)
one_cycle = lambda **kwargs: lambda optimizer, steps: schedulers.OneCycleLR(optimizer, max_lr=LR, total_steps=steps, **kwargs)
# Ours waits for `patience` epochs, PyTorch's for one more.
plateau = lambda patience: lambda optimizer, _: schedulers.ReduceLROnPlateau(optimizer, factor=0.1, patience=patience - 1, threshold=0)
cases = [
    case({"kind": "constant"}, constant),
    case({"kind": "constant"}, constant, WARMUP),
    case({"kind": "every", "epochs": 2, "by": 10.0}, lambda o, _: schedulers.StepLR(o, 2 * STEPS, gamma=0.1)),
    case({"kind": "every", "epochs": 1, "by": 2.0}, lambda o, _: schedulers.StepLR(o, STEPS, gamma=0.5)),
    case({"kind": "steps", "at": [[1, 2], [5, 6]], "by": 10.0}, lambda o, _: schedulers.MultiStepLR(o, [3 * STEPS, 5 * STEPS], gamma=0.1)),
    case({"kind": "cosine"}, cosine(0.0)),
    case({"kind": "cosine", "final_fraction": 0.01}, cosine(0.01), WARMUP),
    case({"kind": "polynomial"}, polynomial(1.0)),
    case({"kind": "polynomial", "power": 2.0}, polynomial(2.0), WARMUP),
    case({"kind": "exponential", "epochs": 2.0, "by": 10.0}, lambda o, _: schedulers.ExponentialLR(o, 0.1 ** (1 / (2 * STEPS)))),
    case({"kind": "one_cycle"}, one_cycle()),
    case(
        {"kind": "one_cycle", "rise": 0.4, "start_fraction": 0.1, "final_fraction": 0.001},
        one_cycle(pct_start=0.4, div_factor=10.0, final_div_factor=100.0),
    ),
    case({"kind": "plateau", "patience": 2, "by": 10.0, "times": 9}, plateau(2), losses=[2.0, 1.0, 1.1, 1.0, 0.9, 0.8]),
    case({"kind": "plateau", "patience": 1, "by": 10.0, "times": 9}, plateau(1), losses=[2.0, 2.0, 1.1, 1.2, 1.3, 0.8]),
]
print("[\n  " + ",\n  ".join(json.dumps(case) for case in cases) + "\n]")
