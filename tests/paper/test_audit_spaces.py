"""The radius of the attack in two units, in training and in measuring, and which cell is nearest to the paper's."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from semcont import models
from semcont.paper.audit import grid
from semcont.paper.budgets import Audit
from semcont.paper.claims import numbers
from semcont.paper.execution import graph
from semcont.paper.presets import Attack, changed, load_preset, replace
from semcont.paper.runs import measured, objective_of, plan, trained
from semcont.paper.strict import SettingsError


@pytest.fixture(scope="module")
def adv():
    return trained(load_preset("smoke"), "adv", 0)


def test_the_normaliser_of_a_network_is_found_in_it():
    statistics = ((0.1, 0.2, 0.3), (0.2, 0.3, 0.4))
    network = models.build("resnet18-slim3", classes=3, width=4, statistics=statistics)
    torch.testing.assert_close(models.channel_std(network).flatten(), torch.tensor([0.2, 0.3, 0.4]))
    assert (models.channel_std(torch.nn.Linear(2, 2)) == 1).all()


def test_in_pixels_scales_radius_and_step_by_the_channels_deviation():
    std = torch.tensor([0.2, 0.25, 0.5]).view(1, 3, 1, 1)
    plain = Attack(eps=8, step_size=2, steps=3).in_pixels(std)
    assert plain == {"eps": 8 / 255, "step_size": 2 / 255, "steps": 3}
    found = Attack(eps=8, step_size=2, steps=3, space="normalised").in_pixels(std)
    torch.testing.assert_close(found["eps"], 8 / 255 * std)
    torch.testing.assert_close(found["step_size"], 2 / 255 * std)
    assert "bounds" not in found and Attack(space="normalised-unclamped").in_pixels(std)["bounds"] is None
    with pytest.raises(ValueError, match="needs the channels' standard deviation"):
        Attack(space="normalised").in_pixels()


def test_a_space_that_is_off_names_no_run():
    preset = load_preset("smoke")
    assert set(plan(preset, "adv", 0)["attack"]) == {"eps", "step_size", "steps"}
    other = changed(preset, {"space": "normalised"})
    assert plan(other, "adv", 0)["attack"]["space"] == "normalised" and plan(other, "c", 0) == plan(preset, "c", 0)
    with pytest.raises(SettingsError, match="'normalized'.*did you mean 'normalised'"):
        changed(preset, {"space": "normalized"})
    with pytest.raises(ValueError, match="evaluation.space must be 'pixels'"):
        replace(preset, evaluation=Attack(space="normalised"))


def test_training_in_normalised_space_is_training_with_a_quarter_of_the_radius(adv):
    """The networks here divide by 1/4, a power of two: so the two trainings agree bit for bit."""
    ours = trained(adv.preset, "adv", 0, space="normalised").model().state_dict()
    attack = adv.preset.attack
    quarter = trained(adv.preset, "adv", 0, eps=attack.eps / 4, step_size=attack.step_size / 4).model().state_dict()
    plain = adv.model().state_dict()
    assert all(torch.equal(ours[name], quarter[name]) for name in ours)
    assert not all(torch.equal(ours[name], plain[name]) for name in ours)


def test_unclamped_training_lets_the_image_leave_the_range_of_pixels(adv):
    network, x = adv.model(), torch.ones(4, 3, 32, 32)
    for space, leaves in (("normalised", False), ("normalised-unclamped", True)):
        objective = objective_of(changed(adv.preset, {"space": space}), "adv", network)
        found = objective.perturb(network, x, torch.zeros(4).long(), torch.Generator().manual_seed(0))
        assert bool((found > 1).any()) is leaves
        assert ((found - x).abs().amax() - 2 / 255).abs() < 1e-6


def test_radii_on_normalised_images_are_quarters_of_radii_in_pixels(adv):
    settings = {"steps": 3, "relative_step": 0.25, "images": 20}
    quarters = measured(adv, grid.by_space, space="normalised", eps=[0, 4, 16], **settings)
    pixels = measured(adv, grid.by_space, space="pixels", eps=[0, 1, 4], **settings)
    assert [a.tolist() for a in quarters["alive"]] == [a.tolist() for a in pixels["alive"]]
    assert quarters["accuracy"].is_monotonic_decreasing and set(quarters["space"]) == {"normalised"}


def _cells(arm: str, training: str, accuracy: dict) -> list[dict]:
    return [
        {
            "arm": arm,
            "seed": seed,
            "training": training,
            "space": space,
            "eps": eps,
            "accuracy": value + (-1) ** seed / 100,
        }
        for (space, eps), value in accuracy.items()
        for seed in (0, 1)
    ]


def test_the_nearest_cell_and_the_one_that_fits_all_arms_are_marked():
    """The paper: base 9.34, adv 44.30. Radius 0 is never marked, however near."""
    base = {("pixels", 0): 0.0934, ("pixels", 2): 0.2, ("pixels", 8): 0.0, ("normalised", 8): 0.11}
    adv = {("pixels", 0): 0.8, ("pixels", 2): 0.45, ("pixels", 8): 0.2, ("normalised", 8): 0.5}
    squeeze = dict.fromkeys(base, 0.1)  # an arm that the paper does not have
    rows = [
        row for arm, cells in (("base", base), ("adv", adv), ("squeeze", squeeze)) for row in _cells(arm, "t", cells)
    ]
    table = grid.nearest(pd.DataFrame(rows), numbers(2), "cifar100")
    marked = table[table["nearest"]].drop_duplicates(["arm", "space", "eps"])
    assert [tuple(r) for r in marked[["arm", "space", "eps"]].to_numpy()] == [
        ("base", "normalised", 8),
        ("adv", "pixels", 2),
    ]
    fits = table[table["fits"]].drop_duplicates(["space", "eps"])
    assert fits[["space", "eps"]].to_numpy().tolist() == [["normalised", 8]]
    assert table.loc[0, "off"] == pytest.approx(0) and table["paper"].isna().sum() == len(base) * 2
    told = grid.conclusion(table)
    assert "nearest at 8/255 of normalised images" in told and "`base` 11.0 % (paper: 9.34 %)" in told
    assert "squeeze" not in told


def test_an_arm_counts_once_whatever_its_seeds():
    """base is off by 1 at 2/255 and by 8 at 8/255; adv by 20 and by 8, on one seed where base has two."""
    base = {("pixels", 2): 0.1034, ("pixels", 8): 0.1734}
    adv = {("pixels", 2): 0.643, ("pixels", 8): 0.523}
    table = pd.DataFrame(_cells("base", "t", base) + [row for row in _cells("adv", "t", adv) if row["seed"] == 0])
    table = grid.nearest(table, numbers(2), "cifar100")
    assert set(table[table["fits"]]["eps"]) == {8} and "8.5 percentage points off" in grid.conclusion(table)


def test_cells_that_are_the_same_attack_are_both_named():
    cells = {("pixels", 2): 0.0934 + 1e-13, ("pixels", 8): 0.0, ("normalised", 8): 0.0934, ("normalised", 2): 0.6}
    table = grid.nearest(pd.DataFrame(_cells("base", "t", cells)), numbers(2), "cifar100")
    told = grid.conclusion(table)
    assert "nearest at 2/255 of pixels and, alike, at 8/255 of normalised images, 0.0 percentage points" in told
    elsewhere = grid.nearest(pd.DataFrame(_cells("base", "t", cells)), numbers(2), "photodigits")
    assert not elsewhere[["nearest", "fits"]].any(axis=None) and not grid.conclusion(elsewhere)


def test_a_variant_is_told_beside_the_arm_on_its_own_seeds():
    arms = _cells("adv", grid.AS_ARMS, {("pixels", 0.0): 0.9, ("pixels", 8.0): 0.5, ("normalised", 8.0): 0.8})
    other = _cells("adv", "H", {("pixels", 0.0): 0.95, ("pixels", 8.0): 0.3, ("normalised", 8.0): 0.7})
    table = pd.DataFrame(arms + other[::2])  # seed 0 alone, a point above the value
    expected = (
        "- *H*, without an attack and within 8/255 of pixels: `adv` 96.0 % and 31.0 % (as an arm 91.0 % and 51.0 %)."
    )
    assert grid.otherwise(table, 8.0) == expected
    assert grid.otherwise(pd.DataFrame(arms), 8.0) == grid.otherwise(table, 4.0) == ""


def test_what_is_trained_otherwise_is_what_the_preset_asks_for():
    own = Audit(spaces=("normalised",), spaces_epochs=(5,), finetune_epochs=3, variant_seeds=1)
    preset = replace(load_preset("smoke"), robustness=replace(load_preset("smoke").robustness, audit=own))
    section = SimpleNamespace(preset=preset, runs=lambda arms, *, seeds, **changes: [(arms[0], seeds, changes)])
    found = grid.otherwise_trained(section)
    names = ["radius in normalised space", "radius in normalised space, 5 epochs", "from base, Adam 1e-05"]
    assert list(found) == names
    space, literal = {"space": "normalised"}, {"start": "base", "optimizer": "adam", "lr": 1e-5}
    literal |= {"schedule": "constant", "weight_decay": 0.0, "epochs": 3}
    assert found[names[0]] == [("adv", 1, space), ("adv+c", 1, space)]
    assert found[names[1]] == [(arm, 1, space | {"epochs": 5}) for arm in ("adv", "adv+c")]
    assert found[names[2]] == [("c", 1, literal), ("adv", 1, literal)]
    assert not grid.otherwise_trained(SimpleNamespace(preset=load_preset("quick"), runs=None))


def test_the_graph_trains_them_and_knows_what_they_start_from():
    own = Audit(spaces=("normalised",), spaces_epochs=(5,), finetune_epochs=3, variant_seeds=1)
    preset = replace(load_preset("smoke"), robustness=replace(load_preset("smoke").robustness, audit=own))
    names = [job.name for job in graph.beside(preset)["spaces"]]
    assert names[:2] == ["adv-s0-space=normalised", "adv+c-s0-space=normalised"]
    longer = [job.preset(preset).epochs_of(job.arm) for job in graph.beside(preset)["spaces"]]
    assert longer == [preset.epochs_of("adv"), preset.epochs_of("adv+c"), 5, 5, 3, 3]
    assert all(name.startswith(("c-s0-start=base+optimizer=adam", "adv-s0-start=base+")) for name in names[4:])
