"""The control for merely smaller logits: a trained network whose logits are divided by T. No answer of it changes.

DS falls with T^2 and so can be made to match any other network's, without training and without more continuity. It is a
wrapper at evaluation: a run like others for what is measured, which keeps its tables beside those of the network.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from . import store
from .continuity import only
from .runs import Run


class Divided(nn.Module):
    """F(x) / T."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) / self.temperature


@dataclass(frozen=True, eq=False)
class Tempered(Run):
    """The run `source` with its logits over `temperature`; its arm is "base/T" where that of `source` is "base"."""

    source: Run | None = None
    temperature: float = 1.0

    def model(self, device: str | None = None) -> nn.Module:
        """The network in eval mode, fresh from the source's file."""
        return Divided(self.source.model(device), self.temperature).eval()

    @property
    def history(self) -> pd.DataFrame:
        """The source's."""
        return self.source.history


def tempered(run: Run, temperature: float) -> Tempered:
    """`run` with its logits divided by `temperature`. Raises `ValueError` where that is not above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature!r}")
    known = {field.name: getattr(run, field.name) for field in fields(run)}
    folder: Path = run.folder / "measured" / f"over-{store.digest([temperature])}"
    known |= {"arm": f"{run.arm}/T", "folder": folder, "changes": run.changes | {"temperature": temperature}}
    return Tempered(**known, source=run, temperature=temperature)


def matching(runs: list[Run], levels: pd.DataFrame, arm: str = "base", like: str = "c") -> list[Tempered]:
    """Each seed's network of `arm` with its logits over the T that gives it the mean DS of the same seed's `like`.

    The mean is over Table 1's settings in `levels`, a table of `continuity.by_level`: T = sqrt(DS of arm / DS of like).
    A seed without both arms, or whose `like` does not move at all, is left out.
    """
    score = only(levels, "score").groupby(["arm", "seed"])["score"].mean()
    found = []
    for run in runs:
        if run.arm == arm and score.get((like, run.seed), 0.0) > 0:
            found.append(tempered(run, float((score[arm, run.seed] / score[like, run.seed]) ** 0.5)))
    return found
