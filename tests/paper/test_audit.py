"""The full audit on networks where the answer is known: closed forms, masked gradients, constant and random outputs."""

import logging
import sys
from dataclasses import replace

import known
import numpy as np
import pandas as pd
import pytest
import torch
from known import NETWORKS, Constant, Linear, Quantised, Random, Scaled, Section

from semcont import attacks as core
from semcont.paper import audit, audit_shown, robustness
from semcont.paper.audit import attacks, autoattack, flags
from semcont.paper.budgets import Audit
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured
from semcont.paper.strict import SettingsError

N = 30
FULL = Audit(
    images=N, whole_images=N, grid_images=N, transfer_images=N, steps=20, effort=0.05, grid_steps=(10, 20),
    grid_restarts=(1, 2),
)  # fmt: skip


def _preset(own: Audit = FULL, arms=tuple(NETWORKS)):
    preset = load_preset("smoke")
    evaluation = replace(preset.evaluation, steps=10)
    return replace(preset, arms=arms, evaluation=evaluation, robustness=replace(preset.robustness, audit=own))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The whole audit of the five networks, and the section that published it."""
    section = Section(tmp_path_factory.mktemp("known"), _preset(), N)
    stand_in = lambda preset, arm, seed, **_: next(r for r in section.all if (r.arm, r.seed) == (arm, seed))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attacks, "trained", stand_in)
        result = audit.conduct(section)
    for show in (audit_shown.show_attacks, audit_shown.show_worst, audit_shown.show_spaces):
        show(section, result)
    return section, result


def _accuracy(found, arm: str) -> pd.Series:
    table = found[1].everything
    return table[table["arm"] == arm].set_index("attack")["accuracy"]


def _worst(found, arm: str) -> float:
    table = found[1].worst
    return table[(table["arm"] == arm) & (table["scope"] == "everything")]["accuracy"].iloc[0]


def _raised(found, arm: str) -> dict[str, bool]:
    table = found[1].checks
    mine = table[table["arm"] == arm]
    return dict(zip(mine["check"], mine["raised"], strict=True))


# --- known answers ----------------------------------------------------------------------------------------------------


def test_a_linear_network_keeps_exactly_what_its_closed_form_says(found):
    exact = known.standing(known.images(N))
    assert 0.2 < exact.double().mean() < 0.8
    assert _worst(found, "base") == pytest.approx(exact.double().mean().item())
    accuracy = _accuracy(found, "base")
    assert accuracy["apgd-t"] == pytest.approx(exact.double().mean().item())
    assert accuracy.drop(["none", *attacks.NOISES]).drop("pgd-10 at 128/255").min() == accuracy["apgd-t"]
    rows = found[1].autoattack
    last = rows[(rows["arm"] == "base") & (rows["attack"] == "square")]["alive"].iloc[0]
    assert torch.equal(torch.tensor(last.astype(bool)), exact)  # the very images, not only their number


def test_a_sound_network_raises_no_flag(found):
    assert not any(_raised(found, "base").values())
    asked = ["without a gradient", "random logits", "by 20 steps beyond 10", "by a black box", "by noise", "at 128/255"]
    assert all(any(words in check for check in _raised(found, "base")) for words in asked)


@pytest.mark.parametrize("arm", ["c", "adv"], ids=["quantised", "logits times a million"])
def test_masked_gradients_deceive_pgd_and_not_the_audit(found, arm):
    honest = known.standing(known.images(N)).double().mean().item()
    accuracy = _accuracy(found, arm)
    assert accuracy["pgd-10"] > 0.95, "PGD-10 calls it robust"
    assert _worst(found, arm) <= honest + 0.05, "the audit does not"
    raised = _raised(found, arm)
    assert raised["images without a gradient"] and raised["left by pgd-10 at 128/255 (limit: chance)"]
    if arm == "c":
        assert raised["broken by a black box alone"] and accuracy["margin-20x2"] > 0.95
    else:
        assert accuracy["rescaled-20x1"] == accuracy["margin-20x1"] <= honest + 0.05 < 0.95 < accuracy["ce-20x2"]


def test_a_constant_network_keeps_its_share_under_every_attack(found):
    accuracy = _accuracy(found, "adv+c")
    share = (known.images(N).labels == known.CLASSES - 1).double().mean().item()
    assert set(accuracy) == {share} and _worst(found, "adv+c") == share
    assert _raised(found, "adv+c")["images without a gradient"]


def test_a_network_with_random_outputs_is_flagged_and_said_so_by_autoattack(found):
    assert _raised(found, "aug")["images with random logits"]
    assert not any(_raised(found, arm)["images with random logits"] for arm in NETWORKS if arm != "aug")
    table = found[1].autoattack
    warned = table.groupby("arm")["warnings"].apply(" ".join)
    assert "randomized defense" in warned["aug"] and "randomized" not in warned["base"]


def test_noise_of_the_same_norm_is_weaker_than_pgd(found):
    accuracy = _accuracy(found, "base")
    assert accuracy["pgd-10"] < min(accuracy[kind] for kind in attacks.NOISES)


def test_images_made_against_the_honest_network_break_the_masked_one(found):
    table = found[1].transfer.set_index(["source", "arm"])["accuracy"]
    assert table["base", "c"] < 0.7 < 0.95 < table["c", "base"]
    assert len(table) == len(NETWORKS) * (len(NETWORKS) - 1)


# --- the tables -------------------------------------------------------------------------------------------------------


def test_tables_hold_a_row_per_arm_seed_and_attack(found):
    section, result = found
    for name in ("audit_attacks", "audit_autoattack"):
        table = section.staged[name]
        assert not table.duplicated(["arm", "seed", "attack"]).any()
        assert {"n", "low", "high"} <= set(table) and not {"alive", "seconds"} & set(table)
        assert (table["low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["high"] + 1e-9).all()
    assert list(result.autoattack["attack"].unique()) == list(autoattack.PARTS)
    assert set(result.autoattack["attack_seed"]) == {0}
    assert {"audit_worst", "audit_flags", "audit_runtime", "audit_transfer"} <= set(section.staged)
    steps = section.staged["s05_worst_case"]
    few = ["none", "pgd-10", steps["attack"].iloc[2], *autoattack.PARTS, "worst case"]
    assert list(steps["attack"].unique()) == few
    mean = result.ours[result.ours["family"] == "pgd"].groupby("attack")["accuracy"].mean()
    assert mean[few[2]] == mean.drop("pgd-10 at 128/255").min()  # the strongest of ours
    grid = section.staged["audit_attacks"]
    losses = {"ce", "margin", "dlr", "rescaled", "kl"}
    assert {f"{loss}-{n}x{r}" for loss in losses for n in (10, 20) for r in (1, 2)} <= set(grid["attack"])


def test_more_restarts_and_the_worst_case_never_leave_more(found):
    table = found[1].ours
    wide = table.drop_duplicates(["arm", "attack"]).set_index(["arm", "attack"])["accuracy"]
    for arm, attack in wide.index:
        if attack.endswith("x2"):
            assert wide[arm, attack] <= wide[arm, attack[:-1] + "1"]
    for arm in NETWORKS:
        assert _worst(found, arm) <= _accuracy(found, arm).drop("pgd-10 at 128/255").min()


def test_the_ledger_gets_the_worst_case_and_else_what_the_short_audit_leaves(found):
    rows = audit_shown.worst_evidence(found[1], pd.DataFrame())["rows"]
    assert {row["label"]: row["value"] for row in rows}["base"] == pytest.approx(_worst(found, "base"), abs=0.2)
    short = pd.DataFrame(
        [{"arm": "adv", "seed": 0, "attack": a, "accuracy": v} for a, v in (("pgd", 0.5), ("all", 0.4))]
    )
    nothing = audit.Audited(*[pd.DataFrame()] * 6)
    (row,) = audit_shown.worst_evidence(nothing, short)["rows"]
    assert (row["label"], row["value"]) == ("adv", 0.4)


def test_a_costly_attack_on_few_images_does_not_narrow_the_comparison():
    """Of 4 images three survive the attack on all of them; of the first 2, none survives the one on 2."""
    rows = [
        {"arm": arm, "seed": 0, "attack": name, "family": "pgd", "eps": 8.0, "accuracy": sum(a) / len(a), "alive": a}
        for arm in ("adv", "adv+c")
        for name, a in (("wide", [True, True, True, False]), ("none", [True] * 4), ("costly", [False, False]))
    ]
    groups = {("adv", 0): None, ("adv+c", 0): None}
    worst = flags.worst_case(pd.DataFrame(rows), 8, groups, images=4).set_index(["arm", "scope"])
    assert worst.loc[("adv", "every network"), ["accuracy", "n", "attacks"]].tolist() == [0.75, 4, 1]
    assert worst.loc[("adv", "everything"), ["accuracy", "n", "attacks"]].tolist() == [0.0, 2, 2]
    assert worst.loc[("adv", flags.SCOPES[1]), ["n", "attacks"]].tolist() == [2, 1]
    told = audit_shown.further(worst.reset_index())
    assert told == (
        "On the 2 images and 2 networks that met everything, the 1 further attack takes at most 100.0 points (`adv`, "
        "seed 0) from what the others leave."
    )
    none = worst.assign(accuracy=0.5).reset_index()
    assert "takes nothing from" in audit_shown.further(none)
    assert audit_shown.further(none[none["scope"] == "every network"]) == ""
    fewer = flags.worst_case(pd.DataFrame(rows), 8, groups, images=9).set_index(["arm", "scope"])
    assert fewer.equals(worst)  # the test set may have fewer images than the preset asks for


def test_rows_that_stand_together_are_of_the_same_networks_and_images():
    """Seed 1 withstands the shared attack less, and seed 0 is stronger on its first two images than on all four."""
    fates = {(0, "wide"): [True, True, True, False], (1, "wide"): [False] * 4, (0, "costly"): [True, False]}
    rows = [
        {"arm": "adv", "seed": seed, "attack": name, "n": len(alive), "accuracy": np.mean(alive), "alive": alive}
        for (seed, name), alive in fates.items()
    ]
    shown = audit_shown.alike(pd.DataFrame(rows))["adv"]
    assert shown.to_dict() == {
        ("every network, 4 images", "wide"): "37.5",
        ("seed 0, 2 images", "wide"): "100.0",
        ("seed 0, 2 images", "costly"): "50.0",
    }
    assert audit_shown.alike(pd.DataFrame(rows[:2]))["adv"].to_dict() == {"wide": "37.5"}


def test_flags_of_many_networks_are_told_arm_by_arm():
    rows = [("adv", seed, "broken", value) for seed, value in enumerate((0.012, 0.0, 0.034))]
    rows += [("c", 0, "broken", 0.02), ("c", 0, "blind", 0.0)]
    checks = pd.DataFrame(rows, columns=["arm", "seed", "check", "value"])
    checks["raised"] = checks["value"] > 0.01
    text = robustness.told(checks)
    assert text.startswith("3 of 5 checks raise a flag:\n")
    assert "- `adv` (2 of 3 networks): broken, 1.2 to 3.4 %" in text and "- `c` (seed 0): broken, 2.0 %" in text
    assert robustness.told(checks.assign(raised=False)) == "0 of 5 checks raise a flag.\n"


def test_where_the_preset_asks_for_nothing_nothing_is_attacked_or_staged(tmp_path):
    section = Section(tmp_path, _preset(Audit()), 4)
    result = audit.conduct(section)
    for show in (audit_shown.show_attacks, audit_shown.show_worst, audit_shown.show_spaces):
        show(section, result)
    assert not section.staged and "asks for no full audit" in section.said[0] and not list(tmp_path.iterdir())


def test_an_audit_that_was_broken_off_goes_on_where_it_was(tmp_path, monkeypatch):
    own = Audit(images=6, whole_images=4, steps=3, effort=0.02)
    section, attacked = Section(tmp_path, _preset(own), 6, arms=("base",)), []
    real = autoattack.survivors

    def broken_at_square(network, x, y, part, **settings):
        attacked.append(part)
        if part == "square" and attacked.count("square") == 1:
            raise KeyboardInterrupt
        return real(network, x, y, part, **settings)

    monkeypatch.setattr(autoattack, "survivors", broken_at_square)
    with pytest.raises(KeyboardInterrupt):
        audit.conduct(section)
    monkeypatch.setattr(core, "withstood", lambda *_, **__: pytest.fail("measured twice"))
    result = audit.conduct(section)
    assert attacked == [*autoattack.PARTS, "square"]
    assert result.autoattack["n"].tolist() == [6, 6, 4, 4]


def test_the_worst_case_of_one_network_is_that_of_the_audit(tmp_path):
    own = Audit(images=12, steps=6, effort=0.05)
    section = Section(tmp_path, _preset(own), 12, arms=("base",))
    result = audit.conduct(section)
    settings = {"chain": autoattack.chains(section.preset, known.CLASSES, False)[-1], "eps": 8.0, "effort": 0.05}
    planned = [s for s in attacks.planned(section.preset, known.CLASSES, False) if 0 < s["eps"] <= 8]
    single = measured(section.all[0], audit.worst, pgd=planned, **settings)
    assert single["accuracy"].tolist() == result.worst["accuracy"].tolist()
    assert single["attacks"].tolist() == result.worst["attacks"].tolist() == [6]
    assert single["clean"].tolist() == pytest.approx([_accuracy((section, result), "base")["none"]])
    assert audit.shared(section.preset)["chain"] == [["apgd-ce", 12], ["apgd-t", 12]]
    fewer = audit.shared(section.preset, 5)
    assert [s["images"] for s in fewer["pgd"]] + [n for _, n in fewer["chain"]] == [5] * 6
    assert measured(section.all[0], audit.worst, **fewer)["n"].tolist() == [5]
    with pytest.raises(ValueError, match="has no worst case"):
        audit.shared(load_preset("quick"))


# --- AutoAttack -------------------------------------------------------------------------------------------------------


def _parts(network, data, parts=autoattack.PARTS, **settings) -> torch.Tensor:
    x, y = data.float(), data.labels
    alive = network(x).argmax(1) == y
    for part in parts:
        rows = alive.nonzero().squeeze(1)
        alive[rows], _ = autoattack.survivors(network, x[rows], y[rows], part, eps=known.EPS, seed=3, **settings)
    return alive


def test_part_by_part_is_what_autoattack_does_in_one_go():
    from pyautoattack import AutoAttack

    network, data = Linear(), known.images(20)
    whole = AutoAttack(network, norm="Linf", eps=known.EPS, seed=3, version="standard")
    autoattack._adjust(whole, known.CLASSES, 0.05)
    with torch.random.fork_rng(devices=[]):
        adv, _ = whole.run_standard_evaluation(data.float(), data.labels)
    alive = network(adv).argmax(1) == data.labels
    assert torch.equal(_parts(network, data, effort=0.05), alive) and 0 < alive.sum() < 20


@pytest.mark.parametrize("spoilt", [float("nan"), 0.1, 2.0], ids=["not a number", "outside the ball", "no image"])
def test_what_is_no_image_within_the_radius_breaks_nothing(monkeypatch, spoilt):
    """The judgement is ours: what AutoAttack hands back counts only where it keeps to the rules."""
    from pyautoattack import AutoAttack

    data, eps = known.images(8), 3.0 if spoilt == 2 else known.EPS
    x, against = data.float(), known.images(9).float()[1:]  # an image of the next class each
    cheat = lambda self, x, y, **_: (against if spoilt != spoilt else x + spoilt * (against - x).sign(), y)  # noqa: E731
    monkeypatch.setattr(AutoAttack, "run_standard_evaluation", cheat)
    adv, _ = cheat(None, x, None)
    assert (Linear()(adv).argmax(1) != data.labels).all()  # so it would count, if it kept to the rules
    if spoilt != spoilt:
        monkeypatch.setattr(AutoAttack, "run_standard_evaluation", lambda self, x, y, **_: (x * float("nan"), y))
    alive, _ = autoattack.survivors(Linear(), x, data.labels, "square", eps=eps, seed=0)
    assert alive.all()


def test_autoattack_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    from pyautoattack import checks

    monkeypatch.chdir(tmp_path)
    network, data, logger = Random().train(), known.images(10), logging.getLogger("auto-attack")
    before, handlers, tracing = torch.random.get_rng_state(), list(logger.handlers), sys.gettrace()
    for part in autoattack.PARTS:
        _, warnings = autoattack.survivors(network, data.float(), data.labels, part, eps=0.03, seed=0, effort=0.02)
        assert any("randomized" in text for text in warnings)
    assert torch.equal(torch.random.get_rng_state(), before) and sys.gettrace() is tracing
    assert network.training and network.weight.requires_grad and network.weight.grad is None
    assert logger.handlers == handlers and logger.propagate and not any(checks.funcs.values())
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")


def test_the_seed_decides_and_few_classes_leave_out_what_needs_more():
    network, data = Linear(), known.images(20)
    again = [_parts(network, data, ["square"], effort=0.02) for _ in range(2)]
    assert torch.equal(*again)
    assert autoattack.parts_for(3) == ("apgd-ce", "fab-t", "square") and autoattack.parts_for(4) == autoattack.PARTS
    none, warnings = autoattack.survivors(network, data.float()[:0], data.labels[:0], "square", eps=0.1, seed=0)
    assert len(none) == 0 and warnings == []


# --- parts of it ------------------------------------------------------------------------------------------------------


def test_noise_has_the_norm_that_it_says(generator):
    x = torch.full((6, 3, 4, 4), 0.5)
    far = {kind: (attacks.noisy(x, kind, 0.1, generator) - x).abs().flatten(1).amax(1) for kind in attacks.NOISES}
    torch.testing.assert_close(far["gaussian"], torch.full((6,), 0.1), rtol=0, atol=1e-6)
    assert (far["uniform"] <= 0.1 + 1e-6).all() and (far["uniform"] > 0.08).all()
    assert attacks.noisy(torch.ones(2, 3, 4, 4), "gaussian", 0.5, generator).max() == 1
    with pytest.raises(SettingsError, match="no noise 'normal'"):
        attacks.noisy(x, "normal", 0.1, generator)


def test_the_plan_gives_the_grid_to_the_full_seeds_alone():
    names = lambda full, classes=10: [(s["loss"], s["steps"]) for s in attacks.planned(_preset(), classes, full)]  # noqa: E731
    assert set(names(False)) < set(names(True)) and len(names(True)) == 3 + 3 + 2 * 5
    assert ("dlr", 20) in names(True) and ("dlr", 20) not in names(True, classes=2)
    path = {s["steps"] * s["step_size"] for s in attacks.planned(_preset(), 10, True) if 0 < s["eps"] <= 8}
    assert path == {20.0}  # ten steps of 2/255
    assert attacks.planned(_preset(Audit()), 10, True) == []


def test_where_no_seed_gets_the_costly_part_the_rest_is_audited(tmp_path):
    own = Audit(images=6, steps=4, effort=0.05, full_seeds=0, whole_images=6, grid_images=6, transfer_images=6)
    result = audit.conduct(Section(tmp_path, _preset(own), 6, arms=("base", "c")))
    assert result.transfer.empty and set(result.autoattack["attack"]) == {"apgd-ce", "apgd-t"}
    assert set(result.worst["scope"]) >= {"every network"} and len(result.checks)
    assert set(result.ours["loss"].dropna()) == {"none", "ce", "margin"}


def test_a_carried_attack_insists_on_the_network_that_it_names(tmp_path, monkeypatch):
    section = Section(tmp_path, _preset(), 6, arms=("base", "c"))
    monkeypatch.setattr(attacks, "trained", lambda *_, **__: section.all[1])
    settings = {"eps": 8.0, "step_size": 2.0, "steps": 2, "images": 6}
    assert (
        len(attacks.carried(section.all[0], targets=attacks.targets_of(section.all[0], section.all), **settings)) == 1
    )
    with pytest.raises(SettingsError, match="c under smoke, seed 0 is c-0, not another"):
        attacks.carried(section.all[0], targets={"c": "another"}, **settings)


def test_random_logits_and_zero_gradients_are_told_from_sound_ones():
    x, y = known.images(10).float(), known.images(10).labels
    assert flags.random_logits(Random(), x).all() and not flags.random_logits(Linear(), x).any()
    for network, blind in ((Constant(), True), (Quantised(), True), (Scaled(), True), (Linear(), False)):
        assert robustness.zero_gradients(network, x, y).double().mean() == pytest.approx(float(blind), abs=0.3)


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("whole_images", 3, "at most images, 2"),
        ("grid_losses", ("dlp",), "there is no 'dlp'"),
        ("spaces", ("pixels",), "there is no 'pixels'"),
        ("spaces_epochs", (96,), "that spaces does not ask for"),
        ("spaces_epochs", (96, 0), "that rise"),
        ("grid_steps", (50, 10), "that rise"),
        ("effort", 0, "must lie in"),
        ("images", -1, "at least 0"),
    ],
)
def test_impossible_settings_are_refused(key, value, told):
    with pytest.raises(ValueError, match=told):
        Audit(**({"images": 2} | {key: value}))
