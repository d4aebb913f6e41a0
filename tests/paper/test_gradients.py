"""Section 3: derivatives in closed form and by finite differences, Eqs. 6 and 7, and the measurements on smoke runs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator, nn

from semcont.paper import expansion, gradients, plots
from semcont.paper.evidence import evidence
from semcont.paper.presets import changed, load_preset
from semcont.paper.runs import measured, trained


@pytest.fixture(scope="module")
def runs():
    preset = load_preset("smoke")
    return [trained(preset, arm, 0) for arm in preset.arms]


@pytest.fixture(scope="module")
def smooth(runs):
    return pd.concat([measured(run, gradients.smoothness, images=20, batch=8) for run in runs], ignore_index=True)


def _linear(classes: int = 3, side: int = 4) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, classes)).double().eval()
    with torch.no_grad():
        weight = torch.randn(network[1].weight.shape, generator=Generator().manual_seed(0), dtype=torch.float64)
        network[1].weight.copy_(weight)
    return network


def _softplus() -> tuple[nn.Module, torch.Tensor]:
    generator = Generator().manual_seed(1)
    network = expansion.softplus_network(4, generator, width=4)
    return network, torch.rand(3, 3, 8, 8, generator=generator, dtype=torch.float64)


# --- derivatives ------------------------------------------------------------------------------------------------------


def test_the_jacobian_of_a_linear_network_is_its_weight():
    network, x = _linear(), torch.rand(5, 3, 4, 4, dtype=torch.float64)
    found = gradients.jacobian(network, x)
    weight = network[1].weight.detach().view(3, 3, 4, 4)
    assert found.shape == (5, 3, 3, 4, 4) and torch.equal(found, weight.expand(5, -1, -1, -1, -1))
    assert found.flatten(1).norm(dim=1).tolist() == pytest.approx([float(weight.norm())] * 5)
    generator = Generator().manual_seed(0)
    assert gradients.curvature(network, x, 2 / 255, generator).tolist() == [0.0] * 5


def test_the_strongest_pixel_of_a_linear_network_is_known():
    network = _linear()
    with torch.no_grad():
        network[1].weight.fill_(0.0)
        network[1].weight.view(3, 3, 4, 4)[:, :, 1, 2] = 2.0  # all logits and channels of one pixel: norm 6
        network[1].weight.view(3, 3, 4, 4)[0, 0, 3, 3] = 8.0  # one entry of another: norm 8
    norms = gradients.pixel_norms(gradients.jacobian(network, torch.zeros(1, 3, 4, 4, dtype=torch.float64)))[0]
    assert norms[1, 2] == 6 and norms[3, 3] == 8 and int(norms.argmax()) == 15
    assert float(norms.square().sum()) == 100
    part = gradients._of_batch(network, torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64), 0.01, Generator())
    assert float(part["pixel_norm"]) == 8 and float(part["pixel_share"]) == pytest.approx(0.64)
    assert float(part["gradient_norm"]) == 10 and float(part["curvature"]) == 0
    assert float(part["missed"]) == pytest.approx(0, abs=1e-20)  # a linear network has no remainder


def test_the_jacobian_agrees_with_finite_differences():
    network, x = _softplus()
    found = gradients.jacobian(network, x).flatten(2)
    with torch.no_grad():
        for place in (0, 77, 191):
            step = torch.zeros(192, dtype=torch.float64)
            step[place] = 1e-5
            step = step.view(3, 8, 8)
            numeric = (network(x + step) - network(x - step)) / 2e-5
            assert torch.allclose(found[:, :, place], numeric, rtol=1e-7, atol=1e-9)


def test_curvature_of_a_quadratic_is_exact_for_any_step():
    class Quadratic(nn.Module):
        def forward(self, x):
            return torch.stack([x.flatten(1).square().sum(1), x.flatten(1).sum(1)], 1)

    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    for step in (1e-3, 0.1):  # J of the first logit is 2x, so it changes by 2 h v, and ||v|| is the root of 48
        found = gradients.curvature(Quadratic().eval(), x, step, Generator().manual_seed(0))
        assert found.tolist() == pytest.approx([2 * 48**0.5] * 2)


def test_a_jacobian_leaves_no_trace_and_needs_eval_mode():
    network, x = _softplus()
    gradients.jacobian(network, x)
    assert not x.requires_grad and all(weights.grad is None for weights in network.parameters())
    with pytest.raises(ValueError, match="eval mode"):
        gradients.jacobian(network.train(), x)
    with pytest.raises(ValueError, match="step"):
        gradients.curvature(network.eval(), x, 0.0, Generator())


def test_between_classes_on_hand_made_logits():
    logits = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    distance, different = gradients.between_classes(logits, torch.tensor([0, 1, 0]))
    assert distance[0].tolist() == pytest.approx([0, 5, 1]) and different[0].tolist() == [False, True, False]


# --- Eqs. 6 and 7 -----------------------------------------------------------------------------------------------------


def test_derivatives_along_a_direction_agree_with_finite_differences():
    network, x = _softplus()
    u = torch.randn(x.shape, generator=Generator().manual_seed(2), dtype=torch.float64)
    value, slope, bend = expansion.derivatives(network, x, u)
    with torch.no_grad():
        before, after = network(x - 1e-4 * u), network(x + 1e-4 * u)
        assert torch.equal(value, network(x))
    assert torch.allclose(slope, (after - before) / 2e-4, rtol=1e-5, atol=1e-7)
    assert torch.allclose(bend, (after - 2 * value + before) / 1e-8, rtol=1e-3, atol=1e-5)
    direct = torch.einsum("nkchw,nchw->nk", gradients.jacobian(network, x), u)
    assert torch.allclose(slope, direct)


def test_a_linear_network_has_no_second_derivative():
    network, x = _linear(), torch.rand(2, 3, 4, 4, dtype=torch.float64)
    _, slope, bend = expansion.derivatives(network, x, torch.ones_like(x))
    assert bend.abs().max() == 0 and torch.allclose(slope, network[1].weight.sum(1).expand(2, -1))
    with pytest.raises(ValueError, match="direction is zero"):
        expansion.remainders(network, x, torch.zeros_like(x))


def test_the_remainder_is_of_third_order_only_with_the_half():
    table = expansion.taylor(load_preset("smoke"), seed=3, images=6)
    slope = expansion.orders(table).set_index("expansion")["slope"]
    assert slope["printed"] == pytest.approx(2, abs=0.1) and slope["first"] == pytest.approx(2, abs=0.1)
    assert slope["half"] == pytest.approx(3, abs=0.1)
    assert "reached by: **Eq. 6 with ½**" in expansion.conclusion(table) and "slope" in expansion.describe(table)
    lines = plots.remainders(table).lines
    assert len(lines) == 3 and lines[2].get_ydata()[0] < lines[1].get_ydata()[0]
    found = evidence(expansion.orders(table), "slope", expansion="printed")
    assert found["rows"][0]["label"] == "softplus" and found["rows"][0]["value"] < 2.5


def test_on_a_quadratic_the_printed_equation_overshoots_by_exactly_the_missing_half():
    class Quadratic(nn.Module):
        def forward(self, x):
            return x.flatten(1).square().sum(1, keepdim=True)

    x = torch.rand(1, 3, 2, 2, dtype=torch.float64)
    table = expansion.remainders(Quadratic(), x, torch.ones_like(x), lengths=(0.5,)).set_index("expansion")["remainder"]
    assert table["first"] == pytest.approx(0.25)  # ||dx||^2
    assert table["printed"] == pytest.approx(0.25) and table["half"] == pytest.approx(0, abs=1e-14)


def test_the_chain_rule_holds_and_its_check_can_fail(monkeypatch):
    network, x = _softplus()
    left, right = expansion.both_sides(network, x, torch.tensor([0, 3, 1]))
    assert left.abs().max() > 1e-3 and torch.allclose(left, right, rtol=1e-10, atol=1e-14)
    preset = load_preset("smoke")
    table = expansion.chain_rule(preset, images=5)
    assert expansion.worst(table)["error"].item() < 1e-12 and table["cosine"].between(0, 1).all()
    assert "5 images" in expansion.conclusion_chain(table)
    monkeypatch.setattr(expansion, "jacobian", lambda model, x: 1.01 * gradients.jacobian(model, x))
    assert expansion.worst(expansion.chain_rule(preset, images=5))["error"].item() > 5e-3


# --- the measurements -------------------------------------------------------------------------------------------------


def test_smoothness_agrees_with_its_definitions(runs, smooth):
    run, n = runs[1], 20
    model, data = run.model(), runs[1].images("test").select(slice(n))
    j = gradients.jacobian(model, data.float()).double()
    norms, strongest = j.flatten(1).norm(dim=1), gradients.pixel_norms(j).flatten(1).amax(1)
    with torch.no_grad():
        logits = model(data.float()).double()
    pairs = [
        float((logits[i] - logits[k]).norm()) for i in range(n) for k in range(n) if data.labels[i] != data.labels[k]
    ]
    found = smooth[smooth["arm"] == run.arm].set_index(["measure", "scale"])["value"]
    assert found["class_distance", "raw"] == pytest.approx(np.mean(pairs), rel=1e-5)
    assert found["gradient_norm", "raw"] == pytest.approx(float(norms.mean()), rel=1e-4)
    assert found["gradient_norm", "relative"] == pytest.approx(float(norms.mean()) / np.mean(pairs), rel=1e-4)
    assert found["pixel_norm", "raw"] == pytest.approx(float(strongest.mean()), rel=1e-4)
    assert found["pixel_share", "raw"] == pytest.approx(float((strongest / norms).square().mean()), rel=1e-4)
    assert (smooth["low"] <= smooth["value"]).all() and (smooth["value"] <= smooth["high"]).all()
    assert (smooth["n"] == n).all() and len(smooth) == 4 * 9


def test_smoothness_without_scale_does_not_see_shrunken_logits(runs, monkeypatch):
    run, shrunk = runs[0], runs[0].model()
    with torch.no_grad():
        shrunk.fc.weight.mul_(0.1)
        shrunk.fc.bias.mul_(0.1)
    plain = gradients.smoothness(run, images=12).set_index(["measure", "scale"])
    monkeypatch.setattr(type(run), "model", lambda self: shrunk)
    small = gradients.smoothness(run, images=12).set_index(["measure", "scale"])
    for measure in gradients.SCALED:
        assert small.loc[(measure, "raw"), "value"] == pytest.approx(
            0.1 * plain.loc[(measure, "raw"), "value"], rel=1e-3
        )
        for column in ("value", "low", "high"):
            expected = plain.loc[(measure, "relative"), column]
            assert small.loc[(measure, "relative"), column] == pytest.approx(expected, rel=1e-3)
    for measure in ("pixel_share", "linear_remainder"):
        assert small.loc[(measure, "raw"), "value"] == pytest.approx(plain.loc[(measure, "raw"), "value"], rel=1e-3)


def test_cached_tables_equal_fresh_ones(runs, smooth):
    fresh = gradients.smoothness(runs[2], images=20, batch=8)
    cached = measured(runs[2], gradients.smoothness, images=20, batch=8)
    pd.testing.assert_frame_equal(cached.drop(columns=["arm", "seed"]), fresh)
    maps = measured(runs[2], gradients.pixel_maps, images=2)
    pd.testing.assert_frame_equal(maps.drop(columns=["arm", "seed"]), gradients.pixel_maps(runs[2], images=2))
    assert maps.groupby("image")["share"].sum().tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("space", ["normalised", "normalised-unclamped"])
def test_the_objectives_of_a_preset_that_attacks_in_normalised_space(space):
    """Notebook 2 shows weights, for which no network is at hand whose normaliser an attack could ask."""
    preset = changed(load_preset("smoke"), {"space": space})
    assert gradients.arms(preset).equals(gradients.arms(load_preset("smoke")))
    table = gradients.terms([trained(preset, arm, 0) for arm in ("adv", "adv+c")])
    assert table["sum"].tolist() == pytest.approx(table["loss"].tolist(), rel=1e-4)


def test_the_last_epochs_terms_sum_to_the_loss(runs):
    table = gradients.terms(runs).set_index("arm")
    assert table["sum"].to_numpy() == pytest.approx(table["loss"].to_numpy(), rel=1e-5)
    assert table["distance"].notna().to_dict() == {"base": False, "c": True, "adv": False, "adv+c": True}
    rows = gradients.arms(load_preset("smoke")).set_index("arm")
    assert rows.loc["adv+c", ["P", "a", "b", "alpha", "D"]].tolist() == ["pgd", 0.5, 0.5, 1.0, "DS"]


def test_curves_hold_every_epoch_of_every_arm(runs):
    table = gradients.curves(runs)
    assert set(table["measure"]) == set(gradients.CURVES) and table["value"].notna().all()
    assert set(table.loc[table["measure"] == "distance", "arm"]) == {"c", "adv+c"}
    history = runs[1].history
    own = table[(table["arm"] == "c") & (table["measure"] == "loss")]
    assert own["value"].tolist() == history["loss"].tolist() and own["epoch"].tolist() == history["epoch"].tolist()
    axes = plots.training_curves(table)
    assert [len(ax.lines) for ax in axes.flat] == [4, 4, 2, 4, 4, 4]
    assert "adv+c" in gradients.describe_curves(table)


# --- words and figures ------------------------------------------------------------------------------------------------


def _smooth(values: dict[str, float], width: float = 0.01, seed: int = 0) -> pd.DataFrame:
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "measure": measure,
            "scale": scale,
            "value": v,
            "n": 9,
            "low": v - width,
            "high": v + width,
        }
        for arm, v in values.items()
        for measure in gradients.MEASURES
        for scale in ("raw", "relative")
    ]
    return pd.DataFrame(rows)


def test_the_conclusion_counts_directions_and_overlaps():
    text = gradients.conclusion(_smooth({"base": 1.0, "c": 0.5, "adv": 0.3, "adv+c": 0.4}))
    assert "`c` 0.50 times `base`" in text and "**5 of 9**" in text and "in 0 of all" in text
    assert "strongest pixel's share, `adv+c` and `adv`" in text and "single run" in text
    close = _smooth({"base": 1.0, "c": 0.99}, width=0.02)
    assert gradients.comparisons(close)["overlap"].all() and "in 4 of all" in gradients.conclusion(close)
    assert gradients.conclusion(_smooth({"trades": 1.0})).startswith("No pair")
    two = pd.concat([_smooth({"base": 1.0, "c": 0.5}), _smooth({"base": 1.0, "c": 2.0}, seed=1)])
    assert "**4 of 8**" in gradients.conclusion(two)


def test_the_linear_terms_reach_is_told():
    text = gradients.conclusion_linear(_smooth({"base": 2.0, "c": 0.5}))
    assert "`base` 2.00" in text and text.endswith("for: `c`.")


def test_figures_and_evidence_from_smoke_runs(runs, smooth):
    axes = plots.smoothness(smooth)
    labels = [text.get_text() for text in axes[0, 0].get_yticklabels()]
    assert axes.shape == (1, 4) and labels == ["base", "C", "ADV", "ADV+C"]
    pixels = pd.concat([measured(run, gradients.pixel_maps, images=2) for run in runs])
    images = gradients.pictures(runs[0], 2)
    assert images.shape == (2, 32, 32, 3)
    grid = plots.pixel_maps(pixels, images)
    assert grid.shape == (2, 5) and grid[0, 1].get_xlabel().endswith("%")
    strongest = gradients.strongest(pixels)
    assert len(strongest) == 8 and "2 images" in gradients.describe_maps(pixels)
    found = evidence(smooth, "value", measure="gradient_norm", scale="relative")
    assert [row["label"] for row in found["rows"]] == ["base", "c", "adv", "adv+c"]
    read = gradients.reading(smooth)
    assert list(read.columns) == ["measure", "scale", "base", "c", "adv", "adv+c"] and len(read) == 9
    assert all(arm in gradients.describe(smooth) for arm in ("base", "adv+c"))


def test_budgets_refuse_what_cannot_be():
    budget = load_preset("smoke").gradients
    for wrong in ({"images": 1}, {"step": 0.0}, {"maps": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            dataclasses.replace(budget, **wrong)
    with pytest.raises(ValueError, match="per_class"):
        dataclasses.replace(load_preset("smoke").discontinuity, per_class=1)
