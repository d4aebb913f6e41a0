"""Section 4.6, transfer: Table 3 by a full fine-tune and by a linear probe, beside networks that start from nothing.

The bundled targets share no glyph and no region of a photograph with what the source networks were trained on. Targets
of few images come without splits (200 faces, 1,083 crops of SVHN) and are cross-validated, repeatedly and the other way
round: trained on one fold and tested on all others, which makes them harder and leaves more to tell networks apart by.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .. import datasets, losses, models, training
from . import directions, statistics, weights
from .arrays import groups_of
from .budgets import TARGETS
from .cells import in_epochs, in_percent
from .directions import Direction
from .images import load_data
from .measurements import Measurement, measurement
from .presets import Preset
from .runs import Run, predict, trained

METHODS = {"finetune": "full fine-tune", "probe": "linear probe"}
SCRATCH = "scratch"
"""The reference in place of an arm: fresh weights, trained on the target alone, or probed as they are."""

PAPER = (
    Direction("accuracy", "c", "base", "higher"),
    Direction("accuracy", "adv", "base", "higher"),
    Direction("accuracy", "adv+c", "adv", "higher"),
)
_TEST_IMAGES = {"CIFAR-10": 10_000, "SVHN": 26_032, "MNIST": 10_000}  # of the paper's targets


@dataclass(frozen=True)
class Part:
    """What is trained on and what is tested, and which rows of the target's test images those are."""

    train: datasets.ImageSet
    test: datasets.ImageSet
    rows: Tensor


def has_splits(target: str) -> bool:
    """Whether a target is trained on one part and tested on another, and not cross-validated."""
    return "train" in datasets.splits(target)


def training_split(target: str, train: int | None) -> str:
    """What a target with splits is trained on: all there is but the test part, or `train` images of its own split."""
    return "full" if train is None and "full" in datasets.splits(target) else "train"


def parts(target: str, *, train: int | None, test: int | None, folds: int, repeats: int, seed: int) -> Iterator[Part]:
    """One part where the target has a training split, else folds x repeats, stratified, that train on one fold."""
    if has_splits(target):
        tested = load_data(target, "test", n=test)
        yield Part(load_data(target, training_split(target, train), n=train), tested, torch.arange(len(tested)))
        return
    from sklearn.model_selection import RepeatedStratifiedKFold

    everything = load_data(target, "all")
    cut = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
    for folds_left, fold in cut.split(np.zeros(len(everything)), everything.labels.numpy()):
        tested, trained_on = torch.from_numpy(folds_left), torch.from_numpy(fold)
        yield Part(everything.select(trained_on), everything.select(tested), tested)


@measurement(version=1)
def finetune(
    run: Run,
    *,
    target: str,
    epochs: int,
    lr: float,
    train: int | None,
    test: int | None,
    folds: int,
    repeats: int,
    fresh: bool = False,
) -> pd.DataFrame:
    """Accuracy on a target after all weights were trained on it with plain cross-entropy, under a fresh head.

    `lr` is the peak of the preset's schedule, `train` and `test` are images of targets with splits. `fresh` starts from
    random weights in place of the run's and names the row `scratch`. Columns: arm (of the source), target, method,
    accuracy, n, low, high, chance.
    """
    hits = []
    for part in parts(target, train=train, test=test, folds=folds, repeats=repeats, seed=run.seed):
        network = _tuned(run, target, part.train, epochs, lr, fresh, whole=training_split(target, train) == "full")
        hits.append((part, predict(network, part.test.to(run.device)).argmax(1).cpu()))
    return _row(run, target, "finetune", hits, fresh)


def _tuned(run: Run, target: str, data, epochs: int, lr: float, fresh: bool, whole: bool = False) -> nn.Module:
    """The network after the fine-tune: a run of its own on a split, so kept and resumed; trained here on a fold.

    `whole` says that `data` is the split "full". No target is augmented: a mirrored digit is another.
    """
    if has_splits(target):
        changes = {"data": target, "data_seed": 0, "rho": None, "val": None, "test": None, "augment": "none"}
        changes |= {"train": None if whole else len(data), "refit": whole, "epochs": epochs, "lr": lr}
        changes |= {"weights": "none"} if fresh else {"start": run}
        return trained(run.preset, "base", run.seed, device=run.device, **changes).model()
    return fitted(run, data, epochs, lr, fresh)


def fitted(run: Run, data: datasets.ImageSet, epochs: int, lr: float, fresh: bool = False) -> nn.Module:
    """The run's network after all its weights went on training on `data`, under a fresh head; not kept in the store."""
    generator = training.generator_for(run.seed, "weights")
    network = (
        _untrained(run, len(data.classes))
        if fresh
        else models.replace_head(run.model("cpu"), len(data.classes), generator)
    )
    recipe = replace(run.preset.training, epochs=epochs, lr=lr, augment="none")
    training.fit(network.to(run.device), data, losses.Objective("base"), recipe, seed=run.seed)
    return network


def _untrained(run: Run, classes: int) -> nn.Module:
    """The preset's network with fresh weights: those from which the run itself began, but for the head."""
    fresh = replace(run.preset, model=replace(run.preset.model, weights="none"))
    return weights.network_of(fresh, classes, training.generator_for(run.seed, "weights")).eval()


@measurement(version=1)
def probe(
    run: Run, *, target: str, train: int | None, test: int | None, folds: int, repeats: int, fresh: bool = False
) -> pd.DataFrame:
    """Accuracy on a target of a logistic regression on the frozen network's features; columns as in `finetune`.

    The features are what the network hands to its last layer, in eval mode, standardised by the training images.
    `fresh` probes random weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = _untrained(run, 2).to(run.device) if fresh else run.model()
    hits = []
    for part in parts(target, train=train, test=test, folds=folds, repeats=repeats, seed=run.seed):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        classifier.fit(_features(network, part.train, run.device), part.train.labels.numpy())
        hits.append((part, torch.from_numpy(classifier.predict(_features(network, part.test, run.device)))))
    return _row(run, target, "probe", hits, fresh)


@torch.no_grad()
def _features(network: nn.Module, data: datasets.ImageSet, device: str) -> np.ndarray:
    pieces = [models.embed(network, data.float(slice(k, k + 500)).to(device)) for k in range(0, len(data), 500)]
    return torch.cat(pieces).double().cpu().numpy()


def _row(run: Run, target: str, method: str, hits: list[tuple[Part, Tensor]], fresh: bool) -> pd.DataFrame:
    """The accuracy over all parts; where an image was predicted several times, it still counts as one of n."""
    part = hits[0][0]
    correct = torch.cat([predicted == piece.test.labels for piece, predicted in hits]).double()
    rows = torch.cat([piece.rows for piece, _ in hits])
    share = torch.zeros(int(rows.max()) + 1, dtype=torch.float64).index_add_(0, rows, correct) / torch.bincount(rows)
    if len(hits) == 1:
        found = statistics.accuracy(correct.bool().numpy(), groups_of(part.test))
    else:
        low, high = statistics.interval(round(float(share.sum())), len(share))
        found = {"n": len(share), "accuracy": float(share.mean()), "low": low, "high": high}
    about = {"arm": SCRATCH if fresh else run.arm, "target": target, "method": method}
    return pd.DataFrame([about | found | {"chance": 1 / len(part.test.classes)}])


# --- for the notebook -------------------------------------------------------------------------------------------------


def budget(preset: Preset, target: str) -> dict[str, Any]:
    """The settings of `finetune` on a target, from the preset's group `transfer`."""
    own = preset.transfer
    epochs = own.epochs if has_splits(target) else own.faces_epochs
    settings = {"train": own.train, "test": own.test, "folds": own.folds, "repeats": own.repeats}
    return {"target": target, "epochs": epochs, "lr": own.lr} | settings


def table3(section) -> pd.DataFrame:
    """Every arm and seed, and the scratch reference, on every target by both methods: one row each."""
    runs = section.runs()
    first = [run for run in runs if run.arm == runs[0].arm]  # the reference has no arm: once per seed
    tables = []
    for function, settings in _methods(section.preset):
        tables.append(section.measured(function, runs=runs, **settings))
        tables.append(section.measured(function, runs=first, fresh=True, **settings))
    return pd.concat(tables, ignore_index=True)


def transferred(section, runs: list[Run]) -> pd.DataFrame:
    """The rows of `table3` of other networks; empty for none."""
    tables = [
        section.measured(function, runs=runs, **settings) for function, settings in _methods(section.preset) if runs
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _methods(preset: Preset) -> Iterator[tuple[Measurement, dict[str, Any]]]:
    """Every target by both methods: the measurement and its settings."""
    for target in preset.transfer.targets:
        settings = budget(preset, target)
        yield finetune, settings
        yield probe, {name: value for name, value in settings.items() if name not in ("epochs", "lr")}


def protocol(preset: Preset) -> str:
    """Sizes, BatchNorm and normalisation, on which such comparisons depend and which the paper does not state."""
    own, recipe = preset.transfer, preset.training
    first = own.targets[0]
    side = load_data(first, "test" if has_splits(first) else "all", n=1).images.shape[2]
    norm = "BatchNorm" if preset.model.norm == "batch" else "GroupNorm"
    whole, cut = (_listed([TARGETS[t] for t in own.targets if has_splits(t) is kind]) for kind in (True, False))
    length = f"{in_epochs(own.epochs)}" + (f" ({in_epochs(own.faces_epochs)} on {cut})" if cut else "")
    rate = f"{recipe.optimizer} at a peak rate of {own.lr:g} ({recipe.schedule}), batches of {recipe.batch_size}"
    return (
        f"Every target comes as **{side} x {side}** pixels in three channels, in [0, 1], through the source's own "
        f"fixed normaliser. The fine-tune trains **all** weights for {length} with {rate}, and plain cross-entropy for "
        f"every arm; {norm} is in training mode and so adapts. The probe leaves the network alone, in eval mode, with "
        "the source's statistics."
        + (f" Trained on {_size(own.train)} training images and tested on {_size(own.test)}: {whole}." if whole else "")
        + (
            f" Cut {own.repeats} times into {own.folds} folds, trained on one, tested on the others: {cut}."
            if cut
            else ""
        )
    )


def _size(n: int | None) -> str:
    return "all" if n is None else f"{n:,}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def beside_paper(table: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Table 3 for reading: arms down; ours by both methods and the paper's across, in percent."""
    shown: dict[str, dict] = {}
    for method, long in METHODS.items():
        for target, short in TARGETS.items():
            mine = table[(table["method"] == method) & (table["target"] == target)]
            for arm, rows in mine.groupby("arm", sort=False):
                shown.setdefault(arm, {})[(f"ours, {long}", short)] = in_percent(rows)
    for _, row in printed.iterrows():
        if row["arm"] in shown:
            shown[row["arm"]][("paper", row["target"])] = f"{row['accuracy']:.2f}"
    arms = [arm for arm in dict.fromkeys(table["arm"]) if arm != SCRATCH]
    return pd.DataFrame.from_dict(shown, orient="index").loc[[*arms, SCRATCH]].fillna("–")


def sampling_noise(printed: pd.DataFrame) -> pd.DataFrame:
    """The paper's own contrasts over their standard error from sampling test images alone, arms taken as independent.

    Columns: target, first, second, points (difference in percent), z.
    """
    share = printed.assign(share=printed["accuracy"] / 100).set_index(["target", "arm"])["share"]
    rows = []
    for target, n in _TEST_IMAGES.items():
        for direction in PAPER:
            a, b = share[target, direction.first], share[target, direction.second]
            error = ((a * (1 - a) + b * (1 - b)) / n) ** 0.5
            about = {"target": target, "first": direction.first, "second": direction.second}
            rows.append(about | {"points": 100 * (a - b), "z": (a - b) / error})
    return pd.DataFrame(rows)


def noise_conclusion(noise: pd.DataFrame, limit: float = 1.96) -> str:
    """How many of the paper's contrasts stand out from the choice of test images, as a sentence."""
    clear = noise[noise["z"].abs() > limit]
    named = ", ".join(f"`{r['first']}` over `{r['second']}` on {r['target']}" for _, r in clear.iterrows())
    return f"Of the paper's {len(noise)} contrasts, {len(clear)} exceed z = {limit:g}" + (
        f": {named}." if named else "."
    )


def conclusion(table: pd.DataFrame, method: str) -> str:
    """The paper's three directions on each target, by one method, as Markdown."""
    parts = []
    for target, rows in table[(table["method"] == method) & (table["arm"] != SCRATCH)].groupby("target", sort=False):
        parts += [
            f"**{TARGETS[target][0].upper()}{TARGETS[target][1:]}**",
            "",
            directions.describe(rows, "accuracy", PAPER, percent=True),
            "",
        ]
    return "\n".join([*parts, directions.caution(table)])


def worth(table: pd.DataFrame) -> str:
    """Whether a source helps at all: each arm's mean against the scratch reference, per target and method."""
    lines = []
    for (method, target), rows in table.groupby(["method", "target"], sort=False):
        scratch = rows[rows["arm"] == SCRATCH]["accuracy"].mean()
        means = rows[rows["arm"] != SCRATCH].groupby("arm", sort=False)["accuracy"].mean()
        who = _named([arm for arm, value in means.items() if value > scratch], len(means))
        without = "trained from fresh weights" if method == "finetune" else "on features of random weights"
        lines.append(f"- {METHODS[method]}, {TARGETS[target]}: {scratch * 100:.1f} % {without}; {who} above it.")
    return "\n".join(lines)


def _named(arms: list[str], of: int) -> str:
    if len(arms) in (0, of):
        return "all arms are" if arms else "no arm is"
    return ", ".join(f"`{arm}`" for arm in arms) + (" is" if len(arms) == 1 else " are")


_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}


def describe(table: pd.DataFrame) -> str:
    """The alt text of the figure."""
    told = []
    for target, rows in table.groupby("target", sort=False):
        means = rows.groupby(["method", "arm"], sort=False)["accuracy"].mean() * 100
        each = [
            f"{METHODS[m]} " + ", ".join(f"{arm} {v:.0f}" for arm, v in part.droplevel(0).items())
            for m, part in means.groupby(level=0, sort=False)
        ]
        told.append(f"{TARGETS[target]}: {'; '.join(each)}")
    return (
        f"Accuracy in percent on {_COUNTS.get(len(told), len(told))} targets, a panel each, a row per arm and one for "
        "networks without a source; a circle for the full fine-tune, a diamond for the linear probe; a dot per seed, "
        f"or the 95 percent interval of a single run. {'. '.join(told)}."
    )
