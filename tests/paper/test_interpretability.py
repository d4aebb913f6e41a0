"""Section 4.5: maps with closed forms, measures on hand-made maps, and smoke networks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semcont import models
from semcont.losses import ARMS
from semcont.paper import interpretability
from semcont.paper.evidence import evidence
from semcont.paper.explaining import attributions
from semcont.paper.plots import attribution_focus, attribution_maps
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained


class Linear(nn.Module):
    """Logits (0, w . x)."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x * self.w).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


class OneMap(nn.Module):
    """A first layer that takes the mean over 4 x 4 cells of a colour, and a head that sums its map with a sign."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.layer, self.sign = nn.AvgPool2d(4), sign

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.sign * self.layer(x).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture
def images(generator) -> torch.Tensor:
    return torch.rand(4, 3, 8, 8, generator=generator)


@pytest.fixture(scope="module")
def smoke():
    preset = load_preset("smoke")
    return preset, [trained(preset, arm, 0) for arm in preset.arms]


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (0.4, 0.5, 0.6)])
def test_integrated_gradients_of_a_linear_network(images, generator, colour):
    w = torch.randn(3, 8, 8, generator=generator)
    found, delta = attributions.integrated_gradients(Linear(w), images, torch.ones(4).long(), baseline=colour, steps=5)
    assert torch.allclose(found, w * (images - torch.tensor(colour).view(3, 1, 1)), atol=1e-5)
    assert delta.max() < 1e-4


def test_integrated_gradients_do_not_depend_on_the_batch(images, smoke):
    network = smoke[1][0].model()
    x, y = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.arange(5)
    whole, _ = attributions.integrated_gradients(network, x, y, steps=4)
    pieces = [
        attributions.integrated_gradients(network, x[k : k + 1], y[k : k + 1], steps=4, batch_size=2)[0]
        for k in range(5)
    ]
    assert torch.allclose(whole, torch.cat(pieces), atol=1e-5)


def test_gradcam_is_the_positive_part_and_can_be_empty(images):
    y = torch.ones(4).long()
    network = OneMap(1.0)
    found = attributions.gradcam(network, images, y, layer=network.layer)
    cells = (
        network.layer(images).sum(1) / 4
    )  # each channel's mean gradient is 1 over one of 2 x 2 cells' sum: equal weights
    assert found.shape == (4, 8, 8) and found.min() >= 0
    assert torch.allclose(found[:, 0, 0] / found[:, 7, 7], cells[:, 0, 0] / cells[:, 1, 1], atol=1e-4)
    against = OneMap(-1.0)
    empty = attributions.gradcam(against, images, y, layer=against.layer)
    assert attributions.is_zero(empty).all()


def test_gradcam_placed_by_receptive_fields_puts_cell_i_at_pixel_i_times_stride(images):
    network, y = OneMap(1.0), torch.ones(4).long()
    plain = attributions.gradcam(network, images, y, layer=network.layer)
    placed = attributions.gradcam(network, images, y, layer=network.layer, placed=True)
    assert torch.allclose(placed[:, 0, 0], plain[:, 0, 0], atol=1e-6)
    assert torch.allclose(placed[:, 4, 4], plain[:, 7, 7], atol=1e-6)  # the second cell's own value
    middle = plain[:, 0, 0] + plain[:, 7, 7] + plain[:, 0, 7] + plain[:, 7, 0]
    assert torch.allclose(placed[:, 2, 2], middle / 4, atol=1e-6)


def test_gradcam_looks_at_the_last_stage(smoke):
    network = smoke[1][0].model()
    x, y = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    own = attributions.gradcam(network, x, y, layer=models.last_stage(network))
    assert torch.equal(attributions.gradcam(network, x, y), own)


def _quarters(n: int, side: int = 8) -> torch.Tensor:
    quarter = torch.arange(4).view(2, 2).repeat_interleave(side // 2, 0).repeat_interleave(side // 2, 1)
    return quarter.expand(n, -1, -1)


def test_lime_finds_the_superpixels_that_matter(images):
    w = torch.zeros(3, 8, 8)
    w[:, :4, :4], w[:, 4:, 4:] = 0.1, -0.1  # for class 1 in the first quarter, against it in the last
    found = attributions.lime(Linear(w), images, torch.ones(4).long(), _quarters(4), samples=200)
    weights = found[:, [0, 0, 4, 4], [0, 4, 0, 4]]
    assert (weights[:, 0] > 0).all() and (weights[:, 3] < 0).all()
    assert (weights[:, 1:3].abs() < 0.1 * weights[:, [0]]).all()


def test_lime_asks_every_network_the_same_and_leaves_the_global_state_alone(images):
    w = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(3)) / 20
    y, state = torch.ones(4).long(), torch.get_rng_state()
    first = attributions.lime(Linear(w), images, y, _quarters(4), samples=40, seed=1)
    again = attributions.lime(Linear(w), images, y, _quarters(4), samples=40, seed=1)
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, attributions.lime(Linear(w), images, y, _quarters(4), samples=40, seed=2))
    alone = attributions.lime(Linear(w), images[:2], y[:2], _quarters(2), samples=40, seed=1)
    assert torch.allclose(first[:2], alone, atol=1e-6)


def test_limes_weights_are_those_of_captums_own(images):
    """captum makes the altered images one at a time; ours are made at once, from the same draws."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    network = Linear(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(3)) / 20)
    colour, segments = (0.4, 0.5, 0.6), _quarters(4)
    found = attributions.lime(network, images, torch.ones(4).long(), segments, baseline=colour, samples=30, seed=1)
    for k, generator in enumerate(attributions.generators(1, range(4))):
        draws = list((torch.rand(30, 4, generator=generator) < 0.5).long().split(1))
        theirs = Lime(
            lambda x: network(x).softmax(1),
            interpretable_model=SkLearnRidge(alpha=1.0),
            similarity_func=lambda _, __, shown, **settings: torch.exp(
                -((1 - shown.float().mean().sqrt()) ** 2) / (2 * attributions.KERNEL_WIDTH**2)
            ),
            perturb_func=lambda _, rows=draws, **settings: rows.pop(),
        )
        one = images[k : k + 1]
        base = torch.tensor(colour).view(1, 3, 1, 1).expand_as(one)
        expected = theirs.attribute(one, base, target=1, feature_mask=segments[k : k + 1, None], n_samples=30)
        assert torch.allclose(found[k], expected[0, 0], atol=1e-6)


def test_lime_draws_by_the_key_and_not_by_the_place(images):
    network, y = Linear(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(3)) / 20), torch.ones(4).long()
    found = attributions.lime(network, images, y, _quarters(4), samples=30, keys=[7, 8, 9, 10])
    turned = attributions.lime(network, images.flip(0), y, _quarters(4), samples=30, keys=[10, 9, 8, 7])
    assert torch.equal(found, turned.flip(0))


def test_superpixels_are_numbered_from_zero_without_gaps():
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for segments in attributions.superpixels(x, 20):
        assert segments.unique().tolist() == list(range(int(segments.max()) + 1))


def test_energy_on_hand_made_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, :2, :2] = True  # a quarter of the area
    on, off = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    on[:, 0, 0], off[:, 3, 3] = -2.0, 5.0
    assert attributions.energy(on, mask).item() == pytest.approx(4)
    assert attributions.energy(off, mask).item() == 0
    assert attributions.energy(torch.full((1, 4, 4), 0.3), mask).item() == pytest.approx(1)
    assert attributions.energy(on + off, mask).item() == pytest.approx(4 * 2 / 7)
    assert attributions.energy(1e-30 * on, mask).item() == pytest.approx(4)  # no unit


def test_an_empty_map_is_counted_and_prefers_no_place():
    maps, mask = torch.zeros(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
    maps[1, 0, 0] = 1
    mask[:, 0] = False
    assert attributions.is_zero(maps).tolist() == [True, False]
    assert attributions.energy(maps, mask).tolist() == [1, 0]
    assert attributions.roughness(maps).tolist() == [0, 2]


def test_roughness_on_hand_made_maps():
    steps = torch.tensor([[[1.0, -1.0], [3.0, 1.0]]])  # the absolute map is 1 1 / 3 1
    assert attributions.roughness(steps).item() == pytest.approx((2 + 0 + 0 + 2) / 6)
    assert attributions.roughness(7 * steps).item() == pytest.approx(4 / 6)


def test_the_sample_prefers_images_that_all_networks_get_right(smoke):
    _, runs = smoke
    chosen = interpretability.sample(runs, 20)
    assert len(chosen) == 20 and chosen["image"].is_unique and (chosen["runs"] == 4).all()
    assert chosen["right"].is_monotonic_decreasing
    everything = interpretability.sample(runs, 10_000)
    assert chosen["right"].tolist() == everything["right"].head(20).tolist()
    assert "classify" in interpretability.describe_sample(chosen)
    assert interpretability.sample(runs, 20).equals(chosen)


def test_figures_show_different_classes_first():
    chosen = pd.DataFrame({"image": [5, 6, 7, 8], "label": [1, 1, 2, 3]})
    assert interpretability.distinct(chosen, 3) == [5, 7, 8]
    assert interpretability.distinct(chosen, 4) == [5, 7, 8, 6]


def test_smoke_run_of_all_measures(smoke):
    preset, runs = smoke
    explanations = interpretability.explanations(preset)
    asked = {"images": [3, 1, 4], "explanations": explanations}
    values = pd.concat([measured(run, interpretability.per_image, **asked) for run in runs], ignore_index=True)
    random = measured(runs[0], interpretability.per_image, weights="random", **asked)
    assert values["value"].notna().all() and set(values["image"]) == {3, 1, 4}
    assert values.groupby(["arm", "explanation"]).size().nunique() == 2  # Integrated Gradients have a fourth measure
    summary = interpretability.summary(values, random)
    one = summary[(summary["arm"] == "c") & (summary["explanation"] == "ig") & (summary["measure"] == "energy")].iloc[0]
    mine = values[(values["arm"] == "c") & (values["explanation"] == "ig") & (values["measure"] == "energy")]["value"]
    assert one["value"] == pytest.approx(mine.mean()) and one["low"] <= one["value"] <= one["high"] and one["n"] == 3
    found = evidence(summary, "value", explanation="lime", measure="energy", weights="trained")
    assert [row["label"] for row in found["rows"]] == list(preset.arms)
    assert list(interpretability.reading(summary)) == [*preset.arms, "random weights"]
    assert "Maps that are zero everywhere" in interpretability.checks(summary)
    for explanation in interpretability.NAMES:
        assert "single run" in interpretability.conclusion(values, explanation)
    axes = attribution_focus(summary)
    assert axes[0].get_ylim() == axes[2].get_ylim()
    assert "GradCAM" in interpretability.describe_focus(summary)
    eleven = pd.concat([summary.assign(arm=arm) for arm in ARMS])
    without = eleven[eleven["explanation"] != "lime"]
    for table, panels in ((eleven, 4), (without, 3)):
        axes = attribution_focus(table)
        assert len(axes) == len(axes[0].figure.axes) == panels
        assert axes[2].get_position().y1 < axes[0].get_position().y0, "in two rows, each as wide as its names need"


def test_contrasts_pair_the_images():
    rows = [
        {
            "arm": arm,
            "seed": 0,
            "weights": "trained",
            "explanation": "ig",
            "measure": "energy",
            "image": k,
            "group": k,
            "value": v,
        }
        for arm, shift in (("base", 0.0), ("c", 0.5))
        for k, v in enumerate(np.array([1.0, 5.0, 9.0]) + shift)
    ]
    (row,) = interpretability.contrasts(pd.DataFrame(rows)).to_dict("records")
    assert (row["first"], row["second"]) == ("c", "base")
    assert row["difference"] == row["low"] == row["high"] == pytest.approx(0.5)  # unpaired images would not be so sure
    told = interpretability.conclusion(pd.DataFrame(rows), "ig")
    assert "difference +0.50" in told and "**same**" in told and "zero" not in told


def test_maps_of_a_smoke_network_and_their_figure(smoke):
    preset, runs = smoke
    explanations = interpretability.explanations(preset)
    for name in interpretability.NAMES:
        table = measured(runs[1], interpretability.maps, images=[2, 0], explanation=explanations[name])
        assert len(table) == 2 * 32 * 32 and (name == "lime" or table["value"].min() >= 0)
        values = measured(runs[1], interpretability.per_image, images=[2, 0], explanations={name: explanations[name]})
        energy = values[values["measure"] == "energy"]["value"].tolist()
        assert table["energy"].unique().tolist() == pytest.approx(energy, rel=1e-4)
        axes = attribution_maps(table, runs[1].images("test"), name)
        assert axes.shape == (2, 2) and axes[0, 1].get_title(loc="center") == "C"
        assert "2 test images" in interpretability.describe_maps(table, name)


def test_an_unknown_baseline_is_refused(smoke):
    with pytest.raises(ValueError, match="baseline must be 'black' or 'mean', not 'grey'"):
        interpretability.per_image(
            smoke[1][0], images=[0], explanations={"ig": {"method": "ig", "steps": 2, "baseline": "grey"}}
        )


def test_random_weights_are_others_and_the_global_state_stays(smoke):
    run, state = smoke[1][0], torch.get_rng_state()
    fresh, again = interpretability._fresh(run), interpretability._fresh(run)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(fresh.conv1.weight, again.conv1.weight)
    assert not torch.equal(fresh.conv1.weight, run.model().conv1.weight)


def test_without_masks_the_ledger_is_handed_no_energy():
    rows = [
        {"arm": "base", "seed": 0, "weights": "trained", "explanation": name, "measure": measure, "value": 1.0, "n": 5}
        for name in ("ig", "gradcam", "lime")
        for measure in ("energy", "roughness")
    ]
    both = pd.DataFrame(rows)
    assert set(interpretability.measures(both)) == {"ig_energy", "ig_roughness", "gradcam_energy", "lime_energy"}
    maskless = interpretability.measures(both[both["measure"] == "roughness"])
    assert {name for name, entry in maskless.items() if "rows" in entry} == {"ig_roughness"}
    assert all("no masks" in entry["absent"] for entry in maskless.values() if "rows" not in entry)
