"""Writes batch_norm.json: what PyTorch makes of a small net with batch normalisation, in float64. pip install torch"""

import json

import torch
from torch import nn


def numbers(key, *shape):
    """The test's own numbers, from -1 to 1."""
    count = 1
    for n in shape:
        count *= n
    return torch.tensor([((i * 7919 + key * 104729) % 2003) / 1001.5 - 1 for i in range(count)], dtype=torch.float64).reshape(shape)


torch.set_default_dtype(torch.float64)
net = nn.Sequential()
net.add_module("conv1", nn.Conv2d(3, 4, 3, padding=1))
net.add_module("bn1", nn.BatchNorm2d(4, eps=1e-3, momentum=0.25))
net.add_module("relu1", nn.ReLU())
net.add_module("flat", nn.Flatten())
net.add_module("fc2", nn.Linear(4 * 6 * 6, 5))
net.add_module("bn2", nn.BatchNorm1d(5, eps=1e-3, momentum=0.25))
net.add_module("relu2", nn.ReLU())
net.add_module("fc3", nn.Linear(5, 3))
with torch.no_grad():
    for key, parameter in enumerate(net.parameters()):
        parameter.copy_(numbers(key, *parameter.shape) * 0.5 + (1 if parameter.dim() == 1 else 0))
images, labels = numbers(50, 7, 3, 6, 6), torch.tensor([0, 1, 2, 0, 1, 2, 1])
optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
golden = {"logits": net.eval()(images).flatten().tolist(), "losses": [], "gradients": {}, "after": {}}
net.train()
for step in range(2):
    optimiser.zero_grad()
    loss = nn.functional.cross_entropy(net(images), labels)
    loss.backward()
    golden["losses"].append(loss.item())
    if step == 0:
        golden["gradients"] = {name: p.grad.flatten().tolist()[:12] for name, p in net.named_parameters()}
    optimiser.step()
after = {name: value.flatten().tolist()[:12] for name, value in net.state_dict().items() if "num_batches" not in name}
golden["after"] = after
golden["logits_after"] = net.eval()(images).flatten().tolist()
with open("batch_norm.json", "w") as file:
    json.dump(golden, file)
