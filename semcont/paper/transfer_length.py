"""Were the fine-tunes of section 4.6 long enough? The same for twice as long, on images that Table 3 leaves alone.

By such images their rate was chosen, too. A target with splits is drawn anew with another data seed, from the glyphs,
regions or files of its training part, and a third of these is held out. One without splits has no such part: every
image of it is tested by some network of Table 3. There a fine-tune is judged inside the fold that it is trained on, a
piece of which is held out, so that no network is judged on the images that Table 3 tests it on.
"""

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from .. import datasets
from . import doubling, transfer
from .budgets import TARGETS
from .images import load_data
from .measurements import Measurement, measurement
from .presets import Preset
from .runs import Run, predict
from .verdicts.turning import TRANSFER

COMPARED = ("base", "c", "adv", "adv+c", "aug", "aug+c")
"""The arms that the ledger's claims on fine-tunes compare: the paper's four, and augmentation without and with C."""

SHARE = 1 / 3
"""Of the groups of a target with splits: what is held out."""


@measurement(version=1)
def held_out(
    run: Run, *, target: str, epochs: int, lr: float, train: int | None, data_seed: int = 1, share: float = SHARE
) -> pd.DataFrame:
    """Accuracy after a fine-tune on a part of other images than Table 3's, on the rest of them.

    The target, which has splits, is drawn with another data seed (`train` images; None: all), and its test split is not
    looked at. The presets' `transfer.lr` is chosen by it, too. Columns: target, lr, accuracy.
    """
    data = load_data(target, "train", seed=data_seed, n=train)
    return _row(target, lr, _on_the_rest(run, data, share, 1, epochs, lr))


@measurement(version=1)
def within_folds(
    run: Run,
    *,
    target: str,
    epochs: int,
    lr: float,
    folds: int,
    repeats: int,
    share: float = 1 / 6,
    turns: int = 3,
) -> pd.DataFrame:
    """The same on a target without splits: inside each fold that Table 3 trains on, `turns` pieces held out in turn.

    A small `share`, because a fold is small: so the fine-tune takes about as many steps as on the whole of it.
    """
    cut = transfer.parts(target, train=None, test=None, folds=folds, repeats=repeats, seed=run.seed)
    right = [_on_the_rest(run, part.train, share, turns, epochs, lr) for part in cut]
    return _row(target, lr, torch.cat(right))


def _on_the_rest(run: Run, data: datasets.ImageSet, share: float, turns: int, epochs: int, lr: float) -> Tensor:
    """Whether each held-out image is named rightly after a fine-tune on the others, bool (images,).

    Images of one group are held out together; each of the `turns` holds out another `share` of the groups.
    """
    groups = torch.arange(len(data)) if data.groups is None else data.groups
    order = groups.unique()
    order = order[torch.randperm(len(order), generator=run.generator("held out"))]
    right = []
    for out in order.split(round(share * len(order)))[:turns]:
        outside = torch.isin(groups, out)
        network = transfer.fitted(run, data.select(~outside), epochs, lr)
        rest = data.select(outside).to(run.device)
        right.append((predict(network, rest).argmax(1) == rest.labels).cpu())
    return torch.cat(right)


def _row(target: str, lr: float, right: Tensor) -> pd.DataFrame:
    return pd.DataFrame([{"target": target, "lr": lr, "accuracy": float(right.double().mean())}])


# --- for the notebook -------------------------------------------------------------------------------------------------


def judged(preset: Preset, target: str) -> list[tuple[Measurement, dict[str, Any]]]:
    """The measurement of a target's fine-tune and its settings, at the section's length and at twice that.

    Of a target with splits so many images are drawn that about as many are trained on as in Table 3; all of them where
    that takes all.
    """
    own = transfer.budget(preset, target)
    settings = {name: own[name] for name in ("target", "lr")}
    if transfer.has_splits(target):
        drawn = None if own["train"] is None else round(own["train"] / (1 - SHARE))
        function, settings = held_out, settings | {"train": drawn}
    else:
        function, settings = within_folds, settings | {name: own[name] for name in ("folds", "repeats")}
    return [(function, settings | {"epochs": epochs}) for epochs in (own["epochs"], 2 * own["epochs"])]


def measure(section) -> pd.DataFrame:
    """Every fine-tune at both lengths, from the first `transfer.doubled_seeds` networks of each of `COMPARED`.

    Columns data, target, arm, seed, epochs, accuracy; empty where the preset has no such seeds.
    """
    preset = section.preset
    arms = [arm for arm in COMPARED if arm in preset.arms]
    runs = [run for arm in arms for run in section.runs([arm], seeds=_seeds(preset, arm))]
    tables = [pd.DataFrame()]
    for function, settings in (each for target in preset.transfer.targets for each in judged(preset, target)):
        found = section.measured(function, runs=runs, **settings) if runs else pd.DataFrame()
        tables.append(found.assign(data=TRANSFER, epochs=settings["epochs"]))
    return pd.concat(tables, ignore_index=True)


def _seeds(preset: Preset, arm: str) -> int:
    """Of an arm's own networks alone, so that nothing is trained for this but fine-tunes."""
    return min(preset.transfer.doubled_seeds, preset.seeds_of(arm))


def levelled(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`doubling.levelled` of `measure`: one row per data, target and arm, change in points."""
    return doubling.levelled(table, tolerance, ("data", "target", "arm"))


def conclusion(levels: pd.DataFrame, tolerance: float) -> str:
    """In Markdown: from which arms the fine-tune had levelled off on which target."""
    if levels.empty:
        return "This preset fine-tunes nothing for longer (`transfer.doubled_seeds`), so nothing is said here."
    titles = {name: f"{short[0].upper()}{short[1:]}" for name, short in TARGETS.items()}
    return doubling.told(levels.assign(label=levels["arm"]), tolerance, "target", titles)
