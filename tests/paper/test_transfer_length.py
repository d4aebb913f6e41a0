"""Section 4.6's doubling: which images judge a fine-tune, what a change comes to, and which claims it gates."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from semcont.paper import claims, paths, transfer, transfer_length
from semcont.paper.budgets import Transfer
from semcont.paper.evidence import evidence
from semcont.paper.execution import graph
from semcont.paper.presets import load_preset
from semcont.paper.runs import trained
from semcont.paper.verdicts import ledger, turning
from semcont.paper.verdicts.turning import ARMS, TRANSFER

SMOKE = load_preset("smoke")


def with_seeds(count: int, **own):
    return replace(SMOKE, transfer=replace(SMOKE.transfer, doubled_seeds=count, **own))


@pytest.fixture(scope="module")
def run():
    return trained(SMOKE, "c", 0)


# --- which images -----------------------------------------------------------------------------------------------------


def test_each_target_is_judged_at_the_sections_length_and_at_twice_that():
    preset = with_seeds(1, train=100, epochs=3, faces_epochs=5)
    found = {target: transfer_length.judged(preset, target) for target in ("grey_digits", "faces")}
    assert [(function.name, own["epochs"]) for own_of in found.values() for function, own in own_of] == [
        ("transfer_length.held_out", 3),
        ("transfer_length.held_out", 6),
        ("transfer_length.within_folds", 5),
        ("transfer_length.within_folds", 10),
    ]
    assert found["grey_digits"][0][1]["train"] == 150, "of which a third is held out"
    assert transfer_length.judged(with_seeds(1, train=None), "grey_digits")[0][1]["train"] is None
    assert {"folds": 2, "repeats": 2}.items() <= found["faces"][0][1].items()


def test_a_target_with_splits_is_drawn_apart_from_table_3_and_its_test_images_are_not_looked_at(run, monkeypatch):
    asked, load = [], transfer.datasets.load
    monkeypatch.setattr(
        transfer.datasets,
        "load",
        lambda name, split, **options: asked.append((split, options)) or load(name, split, **options),
    )
    found = transfer_length.held_out(run, target="textures", epochs=1, lr=0.05, train=60)
    assert [split for split, _ in asked] == ["train"] and asked[0][1]["seed"] == 1
    assert found["lr"].item() == 0.05 and 0 <= found["accuracy"].item() <= 1


@pytest.fixture
def used(monkeypatch) -> list[tuple]:
    """What was trained on and what was judged, fine-tune by fine-tune; nothing is trained, and every answer is 0."""
    seen, pieces = [], []
    monkeypatch.setattr(transfer, "fitted", lambda run, data, epochs, lr: pieces.append(data))
    monkeypatch.setattr(
        transfer_length,
        "predict",
        lambda network, rest: seen.append((pieces.pop(), rest)) or torch.eye(len(rest.classes))[[0] * len(rest)],
    )
    return seen


def test_images_of_one_glyph_are_held_out_together(run, used):
    found = transfer_length.held_out(run, target="grey_digits", epochs=1, lr=0.05, train=300)
    ((inside, rest),) = used
    assert len(inside) + len(rest) == 300 and 70 < len(rest) < 130
    assert not set(inside.groups.tolist()) & set(rest.groups.tolist())
    assert found["accuracy"].item() == pytest.approx((rest.labels == 0).double().mean().item())


def test_a_target_without_splits_is_judged_inside_the_fold_that_table_3_trains_on(run, used):
    own = {"folds": 4, "repeats": 2}
    transfer_length.within_folds(run, target="faces", epochs=1, lr=0.05, **own)
    cut = list(transfer.parts("faces", train=None, test=None, seed=run.seed, **own))
    assert len(used) == 3 * len(cut) == 24

    def pictures(images):
        return sorted(image.numpy().tobytes() for image in images)

    for part, turns in zip(cut, zip(*[iter(used)] * 3, strict=True), strict=True):
        for inside, rest in turns:
            assert pictures(torch.cat([inside.images, rest.images])) == pictures(part.train.images)
            assert (len(inside), len(rest)) == (42, 8)
        assert len({picture for _, rest in turns for picture in pictures(rest.images)}) == 24, "another piece each time"


def test_longer_training_is_seen(run):
    settings = {"target": "grey_digits", "lr": 0.1, "train": 450}
    short, long = (transfer_length.held_out(run, epochs=n, **settings)["accuracy"].item() for n in (1, 8))
    assert long > short + 0.1 and long > 0.4


# --- what it comes to -------------------------------------------------------------------------------------------------


def rows(target: str, **accuracies: tuple[list[float], list[float]]) -> pd.DataFrame:
    """For each arm its accuracies by seed, after 10 epochs and after 20."""
    return pd.DataFrame(
        {"data": TRANSFER, "target": target, "arm": arm, "seed": seed, "epochs": epochs, "accuracy": value}
        for arm, both in accuracies.items()
        for epochs, values in zip((10, 20), both, strict=True)
        for seed, value in enumerate(values)
    )


def test_the_criterion_takes_the_mean_over_seeds_of_each_arm_on_each_target():
    calm, moving = ([0.9, 0.8], [0.93, 0.79]), ([0.8, 0.8], [0.77, 0.77])
    table = pd.concat([rows("textures", base=calm, c=calm), rows("faces", base=calm, c=moving)])
    levels = transfer_length.levelled(table, 2.0)
    assert levels["change"].tolist() == pytest.approx([1, 1, 1, -3]) and set(levels["data"]) == {TRANSFER}
    assert levels["levelled"].tolist() == [True, True, True, False] and levels["seeds"].eq(2).all()
    said = transfer_length.conclusion(levels, 2.0)
    assert "- Photographs: **levelled off**, all 2." in said and "- Faces: **not levelled off**: `c` (-3.0" in said
    assert "3.0 points at most, and from 2 on it counts" in said
    nothing = transfer_length.levelled(pd.DataFrame(), 2.0)
    assert nothing.empty and "transfer.doubled_seeds" in transfer_length.conclusion(nothing, 2.0)


class Section:
    """The networks asked for, and a measure that says nothing but who was measured."""

    def __init__(self, preset) -> None:
        self.preset = preset

    def runs(self, arms, *, seeds):
        return [(arm, seed) for arm in arms for seed in range(seeds)]

    def measured(self, function, runs, **settings):
        found = pd.DataFrame(runs, columns=["arm", "seed"])
        return found.assign(target=settings["target"], lr=settings["lr"], accuracy=0.5)


def test_the_arms_of_the_claims_are_fine_tuned_on_every_target_at_two_lengths():
    preset = replace(with_seeds(3), seeds=2)
    table = transfer_length.measure(Section(preset))
    arms = [arm for arm in transfer_length.COMPARED if arm in preset.arms]
    assert len(table) == len(arms) * 2 * len(preset.transfer.targets) * 2, "of each arm no more than there are"
    assert set(transfer_length.levelled(table, 2.0)["arm"]) == set(arms) and {"base", "c", "adv", "adv+c"} <= set(arms)
    assert transfer_length.measure(Section(with_seeds(0))).empty
    compared = {arm for entry in ledger.load_claims() if turning.data_of(entry) == TRANSFER for arm in entry.arms}
    assert compared == set(transfer_length.COMPARED)


def test_the_key_is_a_number_of_networks_and_trains_no_further_one():
    with pytest.raises(ValueError, match="doubled_seeds must be at least 0, not -1"):
        Transfer(doubled_seeds=-1)
    assert Transfer().doubled_seeds == 0 and load_preset("local").transfer.doubled_seeds == 3
    jobs = [graph.training_jobs(with_seeds(count), "07_transfer") for count in (0, 3)]
    assert jobs[0] == jobs[1]


# --- which claims it gates --------------------------------------------------------------------------------------------

KNOWN = {"section": "4.6", "claim": "A claim.", "kind": "training", "test": "A comparison.", "arms": ("c", "base")}
ENTRIES = [
    ledger.Claim(
        id="tuned", notebook="07_transfer", metric="finetune_accuracy", direction="higher", margin=0.01, **KNOWN
    ),
    ledger.Claim(
        id="probed", notebook="07_transfer", metric="probe_accuracy", direction="higher", margin=0.01, **KNOWN
    ),
]


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Write ten seeds' records, in which `c` is five points above `base`, and what levelled off; the two verdicts."""
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)
    monkeypatch.setattr(claims, "load_claims", lambda: tuple(ENTRIES))
    gains = {"base": np.zeros(10), "c": np.linspace(0.04, 0.06, 10)}
    table = pd.DataFrame(
        {"arm": arm, "seed": k, "value": 0.5 + gain} for arm, of in gains.items() for k, gain in enumerate(of)
    )
    measures = {entry.metric: evidence(table, "value", unit="share") for entry in ENTRIES}

    def told(sources: list[dict], tuned: list[dict]) -> list[str]:
        results = {"02_training": {"levelled": sources}, "07_transfer": {"evidence": measures, "levelled": tuned}}
        for name, of in results.items():
            (tmp_path / f"{name}.json").write_text(json.dumps({"results": of}))
        return claims.judge("quick")[0]["verdict"].tolist()

    return told


def said(*arms: tuple[str, bool], data: str = ARMS, target: str = "") -> list[dict]:
    about = {"data": data, "target": target} if data else {}
    return [about | {"arm": arm, "levelled": level} for arm, level in arms]


BOTH = (("base", True), ("c", True))


@pytest.mark.parametrize(
    ("sources", "tuned", "verdict"),
    [
        (said(*BOTH), said(*BOTH, data=TRANSFER), "reproduced"),
        (said(*BOTH), said(("base", True), ("c", False), data=TRANSFER), "undecided"),
        (said(*BOTH), said(("base", True), data=TRANSFER), "undecided"),  # `c` was not tried
        (said(*BOTH), [], "reproduced"),  # no fine-tune was: the sources alone are asked
        ([], [], "reproduced"),
    ],
)
def test_a_fine_tune_has_to_level_off_and_a_probe_has_no_length(judge, sources, tuned, verdict):
    assert judge(sources, tuned) == [verdict, "reproduced"]


@pytest.mark.parametrize(
    ("source", "reason"), [(True, "fine-tuning of c had not levelled"), (False, "training of c had not levelled")]
)
def test_the_reason_says_which_of_the_two_trainings_it_was(judge, source, reason):
    judge(said(("base", True), ("c", source)), said(("base", True), ("c", False), data=TRANSFER))
    assert claims.judge("quick")[0]["reason"][0].startswith(reason)


def test_a_fine_tune_from_networks_that_had_not_levelled_off_settles_nothing(judge):
    growing = said(("base", True), ("c", False))
    assert judge(growing, said(*BOTH, data=TRANSFER)) == judge(growing, []) == ["undecided", "undecided"]
    assert judge(said(("base", True)), said(*BOTH, data=TRANSFER)) == ["undecided", "undecided"]


def test_an_arm_has_levelled_off_only_where_it_has_on_every_target(judge):
    calm = said(*BOTH, data=TRANSFER, target="faces")
    moving = said(("base", True), ("c", False), data=TRANSFER, target="textures")
    assert judge(said(*BOTH), moving + calm) == judge(said(*BOTH), calm + moving) == ["undecided", "reproduced"]


def test_of_an_arm_one_of_the_two_says_what_it_can(judge):
    judge(
        said(("base", True), ("c", True), ("adv", False), ("aug", True)),
        said(("c", False), ("base", True), data=TRANSFER),
    )
    assert turning.levelled(load_preset("quick")) == {
        ARMS: {"base": True, "c": True, "adv": False, "aug": True},
        TRANSFER: {"base": True, "c": False, "adv": False},
    }
