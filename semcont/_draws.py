"""Random numbers for a batch that is handled in pieces: each piece gets those that the whole batch would have given it.

A batch is taken in pieces by several processes, or by one that accumulates gradients. Whoever handles a piece draws for
all images and keeps its own rows, so what an image is given depends neither on the pieces nor on who handles them.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor


class Share:
    """The rows `begin` to `end` of everything that is drawn for a batch of `n` images.

    The shares of one process have `drawn` in common: the first draws for the batch, the others read the same numbers.
    """

    def __init__(self, generator: Generator, n: int, begin: int, end: int, drawn: list[Tensor]) -> None:
        self.generator, self.n, self.rows, self._drawn, self._next = generator, n, slice(begin, end), drawn, 0

    def draw(self, kind: Callable[..., Tensor], size: Sequence[int], dtype: torch.dtype | None) -> Tensor:
        """`kind(size)` for these rows; size[0] is their number."""
        if self._next == len(self._drawn):
            self._drawn.append(draw(kind, (self.n, *size[1:]), self.generator, dtype))
        values = self._drawn[self._next]
        self._next += 1
        return values[self.rows]


Source = Generator | Share | None
"""Where random numbers come from; None is torch's global stream."""


def draw(
    kind: Callable[..., Tensor], size: Sequence[int], source: Source = None, dtype: torch.dtype | None = None
) -> Tensor:
    """`kind(size)`, e.g. `torch.rand`, from `source` and on its device."""
    if isinstance(source, Share):
        return source.draw(kind, size, dtype)
    device = "cpu" if source is None else source.device
    return kind(tuple(size), generator=source, dtype=dtype, device=device)
