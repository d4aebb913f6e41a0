"""Small networks and images that several test modules attack."""

import torch
from torch import nn

SIDE = 4
SHAPE = (3, SIDE, SIDE)


class Linear(nn.Module):
    """Two logits (0, w.x): class 1 where w.x > 0."""

    def __init__(self, weight: torch.Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.flatten()), bias

    def forward(self, x):
        score = x.flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


def network(seed: int = 0, classes: int = 4, dtype=torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(6 * SIDE**2, classes),
    ]
    model = nn.Sequential(*layers).to(dtype)
    with torch.no_grad():
        model(torch.rand(20, *SHAPE, dtype=dtype))  # so that the BatchNorm has statistics of its own
        model[-1].weight.mul_(20)
    return model


def images(n: int = 6, seed: int = 1, dtype=torch.float32) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(n: int = 6, classes: int = 4, seed: int = 2) -> torch.Tensor:
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
