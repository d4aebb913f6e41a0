"""One attribution method on one network: its maps for a batch of images, and for altered copies of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from . import attributions


@dataclass(frozen=True, eq=False)
class Explainer:
    """What a row of `interpretability.explanations` says, for images `x` (n, 3, h, w) of labels `y`.

    `keys` are the images' numbers, from which LIME draws. Its superpixels are those of `x`, also where a copy of `x` is
    explained: what is measured is the explanation, not SLIC.
    """

    network: nn.Module
    x: Tensor
    y: Tensor
    keys: Sequence[int]
    method: str
    colour: Sequence[float]
    seed: int = 0
    settings: dict[str, Any] | None = None
    segments: Tensor | None = None

    @classmethod
    def of(cls, network, x, y, keys, row: dict[str, Any], colour, seed: int) -> "Explainer":
        """The explainer of a row: method, baseline (already the `colour`) and settings."""
        settings = {name: value for name, value in row.items() if name not in ("method", "baseline", "superpixels")}
        segments = attributions.superpixels(x, row["superpixels"]) if row["method"] == "lime" else None
        return cls(network, x, y, keys, row["method"], colour, seed, settings, segments)

    def on(self, network: nn.Module) -> "Explainer":
        """The same questions to another network."""
        return replace(self, network=network)

    def raw(self, images: Tensor, rows: Tensor) -> Tensor:
        """What the method returns for copies `images` (m, 3, h, w) of the images `rows` (m,).

        (m, 3, h, w) from Integrated Gradients and the gradient, (m, h, w) from GradCAM and LIME.
        """
        return self._explained(images, rows)[0]

    def explain(self) -> tuple[Tensor, Tensor | None]:
        """What the method returns for the images, and the convergence delta (n,) of Integrated Gradients."""
        return self._explained(self.x, torch.arange(len(self.x), device=self.x.device))

    def _explained(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        y, settings = self.y[rows], self.settings or {}
        if self.method == "ig":
            return attributions.integrated_gradients(self.network, images, y, baseline=self.colour, **settings)
        if self.method == "gradient":
            return attributions.gradient(self.network, images, y), None
        if self.method == "gradcam":
            return attributions.gradcam(self.network, images, y, **settings), None
        if self.method == "lime":
            drawn = {"baseline": self.colour, "seed": self.seed, "keys": [self.keys[k] for k in rows.tolist()]}
            return attributions.lime(self.network, images, y, self.segments[rows], **drawn, **settings), None
        raise ValueError(f"method must be ig, gradient, gradcam or lime, not {self.method!r}")

    # --- readings of a map -------------------------------------------------------------------------------------------

    def located(self, raw: Tensor) -> Tensor:
        """Where the map is (n, h, w): absolute values, summed over the colours."""
        return raw.abs().sum(1) if raw.ndim == 4 else raw.abs()

    def ranked(self, raw: Tensor) -> Tensor:
        """What speaks most for the label first (n, h, w): signed, but for the gradient.

        The sign of a gradient says in which direction a pixel should change, not which side it is on.
        """
        return raw.sum(1) if self.method == "ig" else self.located(raw) if self.method == "gradient" else raw

    def contributions(self, raw: Tensor) -> Tensor:
        """What each value of the image adds, relative to `colour` (n, 3, h, w): for `faithfulness.infidelity`.

        The gradient is multiplied by x - colour; a map without colours is spread over them evenly.
        """
        if self.method == "gradient":
            return raw * (self.x - self.paint)
        return raw if raw.ndim == 4 else (raw[:, None] / 3).expand_as(self.x)

    @property
    def paint(self) -> Tensor:
        """The colour as (3, 1, 1)."""
        return torch.tensor(self.colour, dtype=self.x.dtype, device=self.x.device).view(3, 1, 1)

    @torch.no_grad()
    def probability(self, images: Tensor, rows: Tensor) -> Tensor:
        """p_y (m,) of copies of the images `rows`."""
        return self._logits(images).softmax(1).gather(1, self.y[rows, None])[:, 0]

    @torch.no_grad()
    def explained_score(self, images: Tensor, rows: Tensor) -> Tensor:
        """What the method explains (m,): p_y for LIME, else the logit F_y."""
        if self.method == "lime":
            return self.probability(images, rows)
        return self._logits(images).gather(1, self.y[rows, None])[:, 0]

    def _logits(self, images: Tensor) -> Tensor:
        return self.network(images.contiguous(memory_format=torch.channels_last))
