"""Section 4.6: what is trained on what, that nothing leaks, and that the sentences say what the table holds."""

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import pytest
import torch

from semcont import datasets
from semcont.paper import plots, transfer
from semcont.paper.budgets import Transfer
from semcont.paper.claims import numbers
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained

SMALL = {"train": 60, "test": 40, "folds": 4, "repeats": 3}
BUNDLED = load_preset("smoke").transfer.targets
ARMS = ("base", "c", "adv", "adv+c", transfer.SCRATCH)


@pytest.fixture(scope="module")
def run():
    return trained(load_preset("smoke"), "c", 0)


def table(values: dict[str, float], seeds: int = 1) -> pd.DataFrame:
    """Table 3 with the same accuracy per arm on every target and by either method."""
    rows = [
        {"arm": arm, "seed": seed, "target": target, "method": method, "accuracy": value, "n": 100}
        | {"low": value - 0.05, "high": value + 0.05, "chance": 0.1}
        for target in BUNDLED
        for method in transfer.METHODS
        for seed in range(seeds)
        for arm, value in values.items()
    ]
    return pd.DataFrame(rows)


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["grey_digits", "textures"])
def test_a_target_with_splits_has_one_part_apart_from_the_sources_training(target):
    (part,) = transfer.parts(target, **SMALL, seed=0)
    assert len(part.train) == 60 and len(part.test) == 40 and part.rows.tolist() == list(range(40))
    assert not set(part.train.groups.tolist()) & set(part.test.groups.tolist())
    if target == "grey_digits":
        source = set(datasets.load("photodigits", "train", n=500).groups.tolist())
        assert not source & {*part.train.groups.tolist(), *part.test.groups.tolist()}


def test_faces_are_trained_on_one_fold_and_tested_on_all_others():
    parts = list(transfer.parts("faces", **SMALL, seed=0))
    everything = datasets.load("faces", "all")
    assert len(parts) == 12 and {(len(p.train), len(p.test)) for p in parts} == {(50, 150)}
    for part in parts:
        assert part.train.labels.double().mean() == 0.5, "stratified"
        assert torch.equal(everything.images[part.rows], part.test.images)
        rest = torch.ones(200, dtype=torch.bool)
        rest[part.rows] = False
        assert sorted(p.numpy().tobytes() for p in everything.images[rest]) == sorted(
            p.numpy().tobytes() for p in part.train.images
        )
    counts = torch.cat([part.rows for part in parts]).bincount()
    assert counts.tolist() == [9] * 200, "every face is predicted in all folds but its own"
    others = list(transfer.parts("faces", **SMALL, seed=1))
    assert not torch.equal(others[0].rows, parts[0].rows)


# --- measurements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", BUNDLED)
def test_rows_of_both_methods(run, target):
    tuned = measured(run, transfer.finetune, target=target, epochs=1, lr=0.05, **SMALL)
    probed = measured(run, transfer.probe, target=target, **SMALL)
    for found, method in ((tuned, "finetune"), (probed, "probe")):
        assert list(found.columns[:4]) == ["arm", "seed", "target", "method"] and len(found) == 1
        row = found.iloc[0]
        assert (row["arm"], row["target"], row["method"]) == ("c", target, method)
        assert row["low"] <= row["accuracy"] <= row["high"] and row["n"] == (200 if target == "faces" else 40)
        assert row["chance"] == (0.5 if target == "faces" else 0.1)


@pytest.mark.real_data
@pytest.mark.parametrize("target", ["cifar10", "mnist", "svhn-first1083"])
def test_the_papers_targets_by_both_methods(run, target):
    try:
        (part, *_) = transfer.parts(target, **SMALL, seed=0)
    except datasets.DataError as error:
        pytest.skip(str(error))
    assert part.train.images.shape[2:] == (32, 32) and len(part.test.classes) == 10 and not part.test.bundled
    tuned = transfer.finetune(run, target=target, epochs=1, lr=0.05, **SMALL).iloc[0]
    probed = transfer.probe(run, target=target, **SMALL).iloc[0]
    n = 1083 if target == "svhn-first1083" else 40
    assert tuned["n"] == probed["n"] == n and probed["low"] <= probed["accuracy"] <= probed["high"]


def test_a_target_that_nobody_knows_names_the_nearest():
    with pytest.raises(ValueError, match="unknown target 'cifar01'; did you mean 'cifar10'"):
        Transfer(targets=("cifar01",))
    with pytest.raises(ValueError, match="distinct"):
        Transfer(targets=("mnist", "mnist"))


def test_scratch_rows_name_no_arm_and_depend_on_none(run):
    other = trained(load_preset("smoke"), "base", 0)
    for function, settings in ((transfer.finetune, {"epochs": 1, "lr": 0.05}), (transfer.probe, {})):
        found = [measured(r, function, target="faces", fresh=True, **settings, **SMALL) for r in (run, other)]
        pd.testing.assert_frame_equal(*found)
        assert found[0]["arm"].tolist() == [transfer.SCRATCH]


def test_a_probe_of_perfect_features_is_right_and_counts_each_image_once(run, monkeypatch):
    def labels_as_features(network, data, device):
        return torch.nn.functional.one_hot(data.labels, 10).double().numpy()

    monkeypatch.setattr(transfer, "_features", labels_as_features)
    found = transfer.probe(run, target="faces", **SMALL).iloc[0]
    assert found["accuracy"] == 1 and found["n"] == 200 and found["high"] == 1 and 0.97 < found["low"] < 1


def test_the_fine_tune_starts_from_the_source_and_moves_every_weight(run):
    data = datasets.load("grey_digits", "train", n=60)
    tuned = transfer._tuned(run, "grey_digits", data, 1, 1e-9, fresh=False)
    for name, value in run.model().named_parameters():
        close = not name.startswith("fc") and torch.allclose(value, tuned.get_parameter(name), atol=1e-5)
        assert close or name.startswith("fc"), name
    tuned = transfer._tuned(run, "grey_digits", data, 1, 0.1, fresh=False)
    moved = [name for name, p in run.model().named_parameters() if not torch.equal(p, tuned.get_parameter(name))]
    assert len(moved) == len(list(run.model().parameters()))


@pytest.mark.parametrize("target", ["grey_digits", "faces"])
def test_a_fresh_start_is_not_the_source(run, target):
    data = next(transfer.parts(target, **SMALL, seed=0)).train
    fresh = transfer._tuned(run, target, data, 1, 1e-9, fresh=True)
    untrained = transfer._untrained(run, len(data.classes))
    assert torch.allclose(fresh.conv1.weight, untrained.conv1.weight, atol=1e-5)
    assert not torch.allclose(fresh.conv1.weight, run.model().conv1.weight, atol=1e-2)


def test_more_training_on_the_target_helps(run):
    settings = SMALL | {"train": 300, "test": 200}
    short, long = (
        measured(run, transfer.finetune, target="grey_digits", epochs=e, lr=0.1, **settings)["accuracy"].item()
        for e in (1, 6)
    )
    assert long > short + 0.1 and long > 0.4


# --- sentences --------------------------------------------------------------------------------------------------------


def test_the_paper_beside_ours():
    shown = transfer.beside_paper(table(dict.fromkeys(ARMS, 0.8)), numbers(3))
    assert list(shown.index) == list(ARMS)
    assert shown.loc["adv+c", ("paper", "CIFAR-10")] == "86.40" and shown.loc["scratch", ("paper", "SVHN")] == "–"
    assert shown.loc["base", ("ours, linear probe", "faces")] == "80.0 [75.0, 85.0]"
    several = transfer.beside_paper(table(dict.fromkeys(ARMS, 0.8), seeds=3), numbers(3))
    assert several.loc["base", ("ours, full fine-tune", "faces")] == "80.0 ± 0.0"


@pytest.mark.parametrize(("c", "word"), [(0.9, "same"), (0.7, "otherwise")])
def test_the_conclusion_follows_the_table(c, word):
    text = transfer.conclusion(table({"base": 0.8, "c": c, "adv": 0.85, "adv+c": 0.9, "scratch": 0.99}), "finetune")
    line = next(line for line in text.splitlines() if "`c` and `base`" in line)
    assert word in line and "single run" in text and "scratch" not in text
    assert text.count("`c` and `base`") == 3 and "**Photographs**" in text


@pytest.mark.parametrize(
    ("scratch", "who"),
    [(0.99, "no arm is above"), (0.1, "all arms are above"), (0.83, "`adv`, `adv+c` are above"), (0.87, "`adv+c` is")],
)
def test_what_a_source_is_worth(scratch, who):
    told = transfer.worth(table({"base": 0.8, "c": 0.82, "adv": 0.85, "adv+c": 0.9, "scratch": scratch}))
    assert told.count(who) == 6 and f"{scratch * 100:.1f} %" in told


def test_the_noise_of_the_papers_table():
    noise = transfer.sampling_noise(numbers(3)).set_index(["target", "first"])
    assert noise.loc[("CIFAR-10", "adv+c"), "points"] == pytest.approx(1.23)
    share, other = 0.8640, 0.8517
    error = ((share * (1 - share) + other * (1 - other)) / 10_000) ** 0.5
    assert noise.loc[("CIFAR-10", "adv+c"), "z"] == pytest.approx((share - other) / error)
    assert noise.loc[("MNIST", "adv+c"), "z"] == 0 and len(noise) == 9
    assert "2 exceed" in transfer.noise_conclusion(noise.reset_index())
    assert transfer.noise_conclusion(noise.reset_index(), limit=9).endswith("0 exceed z = 9.")


def test_the_protocol_names_what_decides():
    told = transfer.protocol(load_preset("smoke"))
    for words in (
        "32 x 32",
        "BatchNorm is in training mode",
        "normaliser",
        "1 epoch (1 epoch on faces)",
        "2 times into 2",
    ):
        assert words in told


def test_budgets_come_from_the_preset():
    preset = load_preset("quick")
    own = preset.transfer
    assert transfer.budget(preset, "faces")["epochs"] == own.faces_epochs
    assert transfer.budget(preset, "textures")["epochs"] == own.epochs


def test_the_figure_shows_what_the_table_holds():
    values = {"base": 0.8, "c": 0.82, "adv": 0.85, "adv+c": 0.9, "scratch": 0.7}
    axes = plots.transfer_targets(table(values))
    assert axes.size == 3
    labels = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    assert len(labels) == 5 and labels[-1] == "no source"
    drawn = {round(line.get_xdata()[0], 6) for line in axes[0, 2].lines if len(line.get_xdata()) == 1}
    assert drawn == set(values.values())
    told = transfer.describe(table(values))
    assert "faces" in told and "adv+c 90" in told and "three targets" in told
