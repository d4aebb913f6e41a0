"""Section 4.4: Table 2, the curve over eps and the audit, on linear networks with known answers and smoke networks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semcont.datasets import ImageSet
from semcont.paper import robustness
from semcont.paper.claims import numbers
from semcont.paper.evidence import evidence
from semcont.paper.plots import eps_curve
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, predict, trained
from semcont.paper.strict import SettingsError


class Linear(nn.Module):
    """Two classes by the sign of w . x - b; |w| = 1 in every pixel: an attack moves the margin by eps * pixels."""

    def __init__(self, side: int) -> None:
        super().__init__()
        sign = torch.ones(3, side, side)
        sign[:, ::2] = -1
        self.register_buffer("w", sign)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x * self.w).sum((1, 2, 3)) - (0.5 * self.w).sum()
        return torch.stack([-score, score], dim=1)


def _linear_run(n: int = 60, side: int = 4) -> SimpleNamespace:
    """A run of the linear network on grey-ish images of known margin, all classified correctly."""
    draw = np.random.default_rng(0)
    images = torch.from_numpy(draw.integers(90, 166, (n, 3, side, side), dtype=np.uint8))
    network = Linear(side)
    data = ImageSet("linear", images, network(images.float() / 255).argmax(1), ("0", "1"), groups=torch.arange(n) // 2)
    return SimpleNamespace(seed=0, images=lambda split, **_: data, model=lambda *_: network, data=data, network=network)


@pytest.fixture
def linear() -> SimpleNamespace:
    return _linear_run()


@pytest.fixture(scope="module")
def smoke():
    preset = load_preset("smoke")
    return preset, [trained(preset, arm, 0) for arm in preset.arms]


def _by_attack(run, attacks, **settings) -> pd.Series:
    return robustness.by_attack(run, attacks=attacks, **settings).set_index("attack")["accuracy"]


def test_a_linear_network_loses_exactly_what_its_margins_say(linear):
    """The worst case within eps is x - eps sign(w) y, which no pixel range touches here: the exact curve is known."""
    x = linear.data.float()
    margin = (linear.network(x)[:, 1] / x[0].numel()).abs()  # per pixel: the radius at which an image falls
    eps = [0, 1.01, 2.01, 4.01, 8.01]  # no image lies on the edge: margins are whole numbers of 1/255
    table = robustness.by_eps(linear, eps=eps)
    exact = [float((margin > e / 255).double().mean()) for e in eps]
    assert table["accuracy"].tolist() == pytest.approx(exact)
    assert table["accuracy"].is_monotonic_decreasing and table["accuracy"].iloc[-1] < table["accuracy"].iloc[0] == 1
    assert set(table["chance"]) == {0.5}


def test_noise_breaks_less_than_the_attack(linear):
    rows = {"noise": {"eps": 4.0, "step_size": 0.0, "steps": 0, "restarts": 5}}
    rows["pgd"] = {"eps": 4.0, "step_size": 1.0, "steps": 10}
    found = _by_attack(linear, rows)
    assert found["pgd"] < found["noise"]


def test_all_attacks_together_leave_no_more_than_any(linear):
    rows = {
        "ce": {"eps": 2.0, "step_size": 1.0, "steps": 3},
        "margin": {"eps": 2.0, "step_size": 0.5, "steps": 6, "loss": "margin"},
    }
    rows["far"] = {"eps": 64.0, "step_size": 16.0, "steps": 10}
    found = _by_attack(linear, rows, within=2.0)
    assert found["all"] <= min(found["ce"], found["margin"]) and found["far"] < found["all"]
    assert "all" not in _by_attack(linear, rows)


def test_zero_gradients_are_counted_where_the_softmax_saturates():
    network, x = Linear(4), torch.full((2, 3, 4, 4), 0.5)
    x[0] += 0.4 * network.w  # a margin at which softmax is exactly one in float32
    sure = lambda images: 1e3 * network(images)  # noqa: E731
    assert robustness.zero_gradients(sure, x, torch.tensor([1, 1])).tolist() == [True, False]


def test_flags_go_up_for_what_they_are_named_after():
    names = ["none", "noise", "pgd-10", "pgd-50", "pgd-10 at 64/255", "all"]
    sound, broken = [0.9, 0.89, 0.5, 0.495, 0.0, 0.495], [0.9, 0.3, 0.6, 0.2, 0.4, 0.2]
    rows = [
        {"arm": arm, "seed": 0, "attack": name, "accuracy": value, "chance": 0.1}
        for arm, values in (("adv", sound), ("c", broken))
        for name, value in zip(names, values, strict=True)
    ]
    zero = pd.DataFrame([{"arm": "adv", "seed": 0, "share": 0.0}, {"arm": "c", "seed": 0, "share": 0.3}])
    checks = robustness.flags(pd.DataFrame(rows), zero)
    assert not checks[checks["arm"] == "adv"]["raised"].any()
    assert checks[checks["arm"] == "c"]["raised"].all() and len(checks) == 8
    told = robustness.audit_conclusion(pd.DataFrame(rows).assign(low=0.0, high=1.0), checks)
    assert told.startswith("4 of 8 checks raise a flag:") and told.count("- `c` (seed 0)") == 4
    assert robustness.across(checks, "check", "value").loc["images without a gradient"].tolist() == ["0.0", "30.0 !"]


def test_table2_on_smoke_networks(smoke):
    preset, runs = smoke
    attacks = robustness.table2(preset)
    assert list(attacks) == ["none", "pgd-2"]
    table = pd.concat([measured(run, robustness.by_attack, attacks=attacks) for run in runs], ignore_index=True)
    for run in runs:
        mine = table[table["arm"] == run.arm].set_index("attack")
        test = run.images("test")
        plain = float((predict(run.model(), test).argmax(1) == test.labels).double().mean())
        assert mine.loc["none", "accuracy"] == pytest.approx(plain)
        assert mine.loc["pgd-2", "accuracy"] <= plain
        assert (mine["low"] <= mine["accuracy"]).all() and (mine["accuracy"] <= mine["high"]).all()
        assert set(mine["n"]) == {len(test)}
    found = evidence(table, value="accuracy", unit="share", attack="pgd-2")
    assert [row["label"] for row in found["rows"]] == list(preset.arms)
    shown = robustness.beside_paper(table, numbers(2))
    assert shown.loc["adv+c", ("paper, CIFAR-100", "adversarial")] == "54.04" and len(shown) == 4
    assert "single run" in robustness.conclusion(table)
    assert "sets no floors" in robustness.floors(preset, table)


def test_the_curve_at_the_evaluations_radius_is_table_2(smoke):
    preset, runs = smoke
    pgd = preset.evaluation
    curve = robustness.by_eps(runs[2], eps=[0, pgd.eps], steps=pgd.steps)
    table = robustness.by_attack(runs[2], attacks=robustness.table2(preset))
    assert curve["accuracy"].tolist() == table["accuracy"].tolist()
    curve = curve.assign(arm="adv", seed=0)
    assert len(eps_curve(curve).get_lines()) == 2  # one arm, and chance
    assert robustness.at_radius(curve, 3).startswith("The curve of this preset has no point")
    assert "`adv`" in robustness.at_radius(curve, 8) and "adv" in robustness.describe_curve(curve)


def test_the_audit_runs_on_smoke_networks(smoke):
    preset, runs = smoke
    attacks = robustness.audit(preset)
    audit = measured(runs[3], robustness.by_attack, attacks=attacks, images=10, within=preset.evaluation.eps)
    accuracy = audit.set_index("attack")["accuracy"]
    assert accuracy["all"] == min(accuracy.drop("pgd-2 at 64/255")) and len(audit) == len(attacks) + 1
    zero = measured(runs[3], robustness.gradients, images=10)
    assert 0 <= zero["share"].iloc[0] <= 1
    assert len(robustness.flags(audit, zero)) == 4


def test_floors_say_which_network_falls_short():
    preset = load_preset("quick")
    rows = [
        ("base", "none", 0.9),
        ("base", "pgd-10", 0.0),
        ("adv", "none", 0.8),
        ("adv", "pgd-10", 0.4),
        ("adv+c", "pgd-10", 0.2),
    ]
    told = robustness.floors(preset, pd.DataFrame(rows, columns=["arm", "attack", "accuracy"]).assign(seed=0))
    assert "`base` (seed 0) reaches 85 % clean, with 90.0 %" in told and "`adv` (seed 0) reaches" in told
    assert "`adv+c` (seed 0) **does not reach** 35 % under pgd-10, with 20.0 %" in told


def test_by_length_reads_the_history(smoke):
    preset, runs = smoke
    history = pd.DataFrame({"val_accuracy": [0.2, 0.5, 0.6], "val_attacked": [0.1, 0.3, 0.25]})
    run = SimpleNamespace(history=history, preset=preset)
    table = robustness.by_length(run, last=1).set_index("measure")
    assert table.loc["attacked", ["accuracy", "n"]].tolist() == [0.25, preset.training.monitor]
    assert table["change"].tolist() == pytest.approx([10, -5])
    assert robustness.by_length(run, last=99)["change"].tolist() == pytest.approx([40, 15])
    assert robustness.by_length(SimpleNamespace(history=history[[]], preset=preset)).empty
    assert "1 epoch:" in robustness.length_conclusion(measured(runs[0], robustness.by_length))


def test_lengths_adds_runs_of_the_adversarial_arms():
    asked = []
    preset = SimpleNamespace(arms=("base", "adv", "adv+c"), robustness=SimpleNamespace(lengths=(3, 5)))
    section = SimpleNamespace(
        preset=preset, runs=lambda arms, **changes: asked.append((tuple(arms), changes)) or [len(asked)]
    )
    assert robustness.lengths(section) == [1, 2, 3]
    assert asked == [(("adv", "adv+c"), {}), (("adv", "adv+c"), {"epochs": 3}), (("adv", "adv+c"), {"epochs": 5})]


def test_conclusions_count_seeds_and_name_a_single_run():
    rows = [("base", 0, 0.1), ("c", 0, 0.2), ("base", 1, 0.3), ("c", 1, 0.2)]
    table = pd.DataFrame(rows, columns=["arm", "seed", "accuracy"])
    several = robustness.directions.describe(table, "accuracy", robustness.PAPER, percent=True)
    assert "so it is in 1 of 2 seeds" in several and several.count("\n") == 0  # the other arms are not there
    one = robustness.directions.describe(table[table["seed"] == 1], "accuracy", robustness.PAPER, percent=True)
    assert "this single run has it **otherwise**" in one
    assert "single run" in robustness.directions.caution(table[table["seed"] == 1])
    assert "2 seeds" in robustness.directions.caution(table)


@pytest.mark.parametrize("key, value", [("eps", [-1]), ("eps", []), ("audit_steps", 0), ("lengths", [0])])
def test_impossible_budgets_are_refused(tmp_path, key, value):
    text = (robustness.paths.resource("presets/smoke.yaml")).read_text(encoding="utf-8").partition("\nrobustness:")[0]
    path = tmp_path / "odd.yaml"
    path.write_text(f"{text}\nrobustness:\n  {key}: {value}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=f"robustness.*{key}"):
        load_preset(path)


def test_published_numbers_have_sources():
    table = robustness.field()
    assert table["source"].str.len().gt(10).all() and table["clean"].between(0, 100).all()
    assert robustness.as_printed(table)["PGD-10"].tolist()[:3] == ["0.06", "29.92", "–"]
