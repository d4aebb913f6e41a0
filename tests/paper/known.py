"""Networks whose robustness is known in closed form, as runs, and a section that holds them."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import torch
from torch import nn

from semcont.datasets import ImageSet
from semcont.paper.runs import measured

CLASSES, SIDE, EPS, GREY = 5, 8, 8 / 255, 128 / 255


class Linear(nn.Module):
    """z = W (x - grey) with entries of W of one size: the worst case towards class j within eps is sign(W_j - W_y)."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        signs = 2 * torch.randint(2, (CLASSES, 3 * SIDE * SIDE), generator=draw) - 1
        self.weight = nn.Parameter(signs / 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - GREY).flatten(1) @ self.weight.T


class Quantised(Linear):
    """The same after rounding pixels to multiples of 2/255: as easily fooled, and no gradient anywhere."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward((x * 127.5).round() / 127.5)


class Scaled(Linear):
    """The same with logits times a million: as easily fooled, and a softmax that is one or zero in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1e6 * super().forward(x)


class Constant(Linear):
    """The same logits for every image: what it gets right no attack changes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(CLASSES, dtype=x.dtype).repeat(len(x), 1)


class Random(Linear):
    """The linear network with noise on its logits, drawn anew at every call."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0.3 * torch.randn(len(x), CLASSES)


NETWORKS = {"base": Linear, "c": Quantised, "adv": Scaled, "adv+c": Constant, "aug": Random}


def images(n: int) -> ImageSet:
    """Grey with the pattern of a class at a strength of 3 to 14/255, and noise: away from 0 and 1, all radii matter."""
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(n) % CLASSES
    strength = torch.randint(3, 15, (n, 1), generator=draw)
    pattern = Linear().weight.detach().sign()[labels] * strength
    noise = torch.randint(-2, 3, pattern.shape, generator=draw)
    pixels = (128 + pattern + noise).to(torch.uint8).view(n, 3, SIDE, SIDE)
    return ImageSet("known", pixels, labels, tuple("01234"))


def standing(data: ImageSet, eps: float = EPS) -> torch.Tensor:
    """True where the linear network withstands every x' within eps: z_j - z_y + eps |W_j - W_y|_1 < 0 for all j."""
    weight = Linear().weight.detach().double()
    z, y = (data.float().double() - GREY).flatten(1) @ weight.T, data.labels
    gap = z - z.gather(1, y.view(-1, 1)) + eps * (weight[None] - weight[y][:, None]).abs().sum(2)
    gap[torch.arange(len(y)), y] = -1
    assert gap.abs().min() > 1e-4  # none on the edge, where float32 would decide
    return (gap < 0).all(1)


@dataclass
class KnownRun:
    """What measurements and `measured` read of a run."""

    arm: str
    seed: int
    folder: Path
    data: ImageSet
    preset: SimpleNamespace
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.key, self.changes, self.record = f"{self.arm}-{self.seed}", {}, {"classes": list(self.data.classes)}

    def model(self, *_: str) -> nn.Module:
        return NETWORKS[self.arm]().eval()

    def images(self, split: str, **_) -> ImageSet:
        return self.data

    def generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + len(name))


class Section:
    """A section of known networks: a notebook's, less the notebook. Keeps what was staged."""

    def __init__(self, folder: Path, preset, n: int, seeds: int = 1, arms=tuple(NETWORKS)) -> None:
        self.preset, self.seeds, self.device = preset, list(range(seeds)), "cpu"
        data, self.staged, self.said = images(n), {}, []
        self.all = [KnownRun(arm, seed, folder / f"{arm}-{seed}", data, preset) for arm in arms for seed in self.seeds]

    def runs(self) -> list[KnownRun]:
        return self.all

    def measured(self, function, runs=None, **settings) -> pd.DataFrame:
        return pd.concat([measured(run, function, **settings) for run in runs or self.all], ignore_index=True)

    def table(self, name: str, table: pd.DataFrame, *, caption: str, show: pd.DataFrame | None = None) -> None:
        self.staged[name] = table

    def figure(self, name: str, axes, *, alt: str, table: pd.DataFrame) -> None:
        self.staged[name] = table
        assert alt

    def conclude(self, text: str) -> None:
        self.said.append(text)
