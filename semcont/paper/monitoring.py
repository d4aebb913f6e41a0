"""What is measured after each epoch of training: accuracy on the validation images, plain and under attack."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .. import attacks, datasets
from ..distributed import World

Monitor = Callable[[nn.Module], dict[str, float]]
_AT_ONCE = 500  # images


def monitor(
    images: datasets.ImageSet | datasets.Stream, attacked: int, attack: dict[str, Any], world: World
) -> Monitor:
    """From a network to "val_accuracy" on `images`, and "val_attacked" on the first `attacked` of them under `attack`.

    Each process measures its share, each image once; all get the numbers of all images. The noise of the attack is
    keyed by the image, so the shares change nothing.
    """

    def survives(network: nn.Module, x: Tensor, y: Tensor, first: int) -> Tensor:
        return attacks.survivors(network, x, y, first=first, **attack)

    def measure(network: nn.Module) -> dict[str, float]:
        row = {"val_accuracy": _share_of(len(images), _is_right, network, images, world)}
        if attacked:
            row["val_attacked"] = _share_of(min(attacked, len(images)), survives, network, images, world)
        return row

    return measure


def _share_of(n: int, test: Callable[..., Tensor], network: nn.Module, images, world: World) -> float:
    """The share of the first n images that pass `test(network, x, y, first)`; `first` is the place of x[0].

    A stream may leave out files: these count nowhere. Without validation images the share is not a number.
    """
    mine = world.share(n)
    passed_and_seen = torch.zeros(2, dtype=torch.long)
    groups = [rows for rows in torch.arange(n)[mine].split(_AT_ONCE) if len(rows)]
    for rows, (x, y) in zip(groups, images.batches(groups), strict=True):
        passed = test(network, x, y, int(rows[0]))
        passed_and_seen += torch.tensor([int(passed.sum()), len(passed)])
    passed, seen = world.total(passed_and_seen).tolist()
    return passed / seen if seen else float("nan")


@torch.no_grad()
def _is_right(network: nn.Module, x: Tensor, y: Tensor, first: int) -> Tensor:
    return network(x.contiguous(memory_format=torch.channels_last)).argmax(1) == y
