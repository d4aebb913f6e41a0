"""A section that trains and measures as a notebook's does, less the notebook."""

import pandas as pd

from semcont.paper.runs import measured, trained


class Section:
    """The networks of a preset, one seed of each where no number is asked for."""

    def __init__(self, preset) -> None:
        self.preset = preset

    def runs(self, arms=None, *, seeds=None, first=0, **changes):
        numbers = [first + k for k in range(seeds or 1)]
        return [trained(self.preset, arm, k, **changes) for arm in arms or self.preset.arms for k in numbers]

    def measured(self, function, runs=None, **settings) -> pd.DataFrame:
        return pd.concat([measured(run, function, **settings) for run in runs or self.runs()], ignore_index=True)
