"""The batches of an epoch, in the pieces that one process handles, each with its source of random numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ._draws import Share
from .augmentation import crop_flip
from .datasets import ImageSet, Stream
from .distributed import World
from .recipe import Recipe

_STREAMS = {"weights": 0, "order": 1, "perturbation": 2, "attack": 3, "augmentation": 4}


def generator_for(seed: int, stream: str, epoch: int = 0) -> Generator:
    """The generator of one stream ("weights", "order", "perturbation", "attack", "augmentation") in one epoch.

    Streams are separate, so none moves another, and begin anew each epoch, so a resumed run needs no saved state.
    """
    return Generator().manual_seed(seed_for(seed, stream, epoch))


def seed_for(seed: int, stream: str, epoch: int) -> int:
    """The same as a number, for a set that is streamed."""
    state = np.random.SeedSequence([seed, _STREAMS[stream], epoch]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


@dataclass(frozen=True)
class Piece:
    """What is forwarded at once: images, labels, where P or the attack draws from, and the share of the batch."""

    x: Tensor
    y: Tensor
    source: Generator | Share
    weight: float = 1.0


class Feed:
    """The batches of each epoch, in the pieces that this process handles."""

    def __init__(self, data: ImageSet | Stream, recipe: Recipe, seed: int, world: World) -> None:
        self.data, self.recipe, self.seed, self.world = data, recipe, seed, world
        self.steps = math.ceil(len(data) / recipe.batch_size)
        self.pieces = recipe.accumulate * world.size
        self.crops = recipe.augment == "crop-flip" and isinstance(data, ImageSet)
        smallest = len(data) // self.steps
        if self.pieces > 1 and smallest < 2 * self.pieces:
            raise ValueError(
                f"batches of {smallest} images are too small for {self.pieces} pieces of at least 2 images "
                f"({world.size} processes, accumulate {recipe.accumulate})"
            )

    def epoch(self, epoch: int, stream: str) -> Iterator[list[Piece]]:
        order = torch.randperm(len(self.data), generator=generator_for(self.seed, "order", epoch))
        batches = order.to(self.data.device).tensor_split(self.steps)  # near-equal: no tiny last one for BatchNorm
        batches = [rows.tensor_split(self.pieces) for rows in batches]
        mine = slice(self.world.rank * self.recipe.accumulate, (self.world.rank + 1) * self.recipe.accumulate)
        stretch = seed_for(self.seed, "augmentation", epoch) if self.recipe.augment == "crop-flip" else None
        loaded = iter(self.data.batches([rows for batch in batches for rows in batch[mine]], seed=stretch))
        generators = generator_for(self.seed, stream, epoch), generator_for(self.seed, "augmentation", epoch)
        for batch in batches:
            ends = np.cumsum([len(rows) for rows in batch]).tolist()
            drawn: tuple[list, list] = ([], [])
            yield [self._piece(*next(loaded), end, ends[-1], generators, drawn) for end in ends[mine]]

    def _piece(self, x: Tensor, y: Tensor, end: int, n: int, generators, drawn) -> Piece:
        source, crops = generators
        if self.pieces > 1:
            source, crops = (Share(g, n, end - len(x), end, d) for g, d in zip(generators, drawn, strict=True))
        if self.crops:
            x = crop_flip(x, crops)
        weight = len(x) / n if self.pieces > 1 else 1.0  # a stream may have left out a file
        return Piece(x.contiguous(memory_format=torch.channels_last), y, source, weight)
