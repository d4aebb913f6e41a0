"""The level of P's hue alone, from the perturbation to the name of a run."""

import pytest
import torch

import semcont
from semcont import losses
from semcont.paper.presets import changed, load_preset
from semcont.paper.runs import plan
from semcont.paper.strict import SettingsError
from semcont.perturbations import LEVELS


def test_the_other_three_are_untouched_and_the_hue_reaches_its_own_level():
    x = torch.rand(400, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    plain, far = (
        semcont.RandomPhotometric(1, hue_level=level)(x, torch.Generator().manual_seed(2)) for level in (None, 4)
    )
    generator = torch.Generator().manual_seed(2)
    choice = torch.randint(4, (400,), generator=generator)
    u = 2 * torch.rand(400, generator=generator, dtype=torch.float64) - 1
    turned = choice == list(LEVELS).index("hue")
    assert torch.equal(plain[~turned], far[~turned])
    expected = semcont.hue(x[turned], (u[turned] * LEVELS["hue"][3]).float())
    torch.testing.assert_close(far[turned], expected)
    assert not torch.equal(plain[turned], far[turned])


def test_the_same_level_is_the_same_perturbation():
    x = torch.rand(40, 3, 4, 4)
    one, two = (semcont.RandomPhotometric(2, hue_level=k)(x, torch.Generator().manual_seed(2)) for k in (None, 2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("level", [0, 5, True])
def test_impossible_levels(level):
    with pytest.raises(ValueError, match="hue_level must be"):
        semcont.RandomPhotometric(1, hue_level=level)
    with pytest.raises((SettingsError, TypeError)):
        changed(load_preset("smoke"), {"hue_level": level})


def test_it_shows_itself():
    assert repr(semcont.RandomPhotometric(1, hue_level=4)) == "RandomPhotometric(level=1, hue_level=4)"
    assert repr(semcont.RandomPhotometric(1)) == "RandomPhotometric(level=1)"
    assert repr(semcont.RandomPhotometric(1, hue=False, hue_level=4)) == "RandomPhotometric(level=1, hue=False)"


def test_the_objective_hands_it_on():
    assert losses.Objective("c", hue_level=3).perturb is not None
    with pytest.raises(ValueError, match="hue_level"):
        losses.Objective("aug", hue_level=7)


def test_a_run_is_named_by_it_only_where_it_is_on_and_used():
    preset = load_preset("smoke")
    far = changed(preset, {"hue_level": 4})
    assert "hue_level" not in plan(preset, "c", 0)["constraint"]
    assert plan(far, "aug", 0)["constraint"]["hue_level"] == 4
    assert plan(far, "base", 0) == plan(preset, "base", 0) and plan(far, "adv+c", 0) == plan(preset, "adv+c", 0)
