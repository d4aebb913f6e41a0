"""Measures that ask the network, on networks whose answers are known in closed form."""

import numpy as np
import pytest
import torch
from torch import nn

from semcont import build
from semcont.paper.explaining import attributions, faithfulness
from semcont.paper.explaining.explainer import Explainer

KEYS = [3, 8, 11]


class Share(nn.Module):
    """Logits whose softmax is linear: p_1(x) = w . x, p_0 = 1 - w . x."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = (x * self.w).sum((1, 2, 3))
        return torch.stack([1 - p, p], 1).log()


class Score(nn.Module):
    """Logits (0, w . x)."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x * self.w).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


@pytest.fixture
def x(generator) -> torch.Tensor:
    return torch.rand(3, 3, 8, 8, generator=generator) * 0.9 + 0.05


@pytest.fixture
def w(generator) -> torch.Tensor:
    return torch.rand(3, 8, 8, generator=generator) / 200  # w . x stays in (0, 1)


def explainer(network, x, method="gradient", colour=(0.0, 0.0, 0.0), **row) -> Explainer:
    return Explainer.of(network, x, torch.ones(len(x)).long(), KEYS[: len(x)], {"method": method, **row}, colour, 0)


# --- insertion and deletion -------------------------------------------------------------------------------------------


def test_insertion_and_deletion_of_a_linear_network(x, w):
    """Each pixel adds its own w . x whenever it is shown, so both curves are sums of sorted contributions."""
    own = explainer(Share(w), x)
    adds = (w * x).sum(1)
    places = faithfulness.ranking(adds, KEYS)
    deletion, insertion = faithfulness.curves(own.probability, x, places, own.paint, 64)  # a pixel a step
    taken = adds.flatten(1).sort(1, descending=True).values.cumsum(1)
    whole = taken[:, -1:]
    steps = torch.cat([torch.zeros(3, 1), taken], 1)
    assert torch.allclose(insertion, steps, atol=1e-5) and torch.allclose(deletion, whole - steps, atol=1e-5)
    area = faithfulness.area(insertion, insertion[:, -1])
    expected = ((steps[:, 1:] + steps[:, :-1]) / 2).mean(1) / whole[:, 0]
    assert torch.allclose(area.float(), expected, atol=1e-5)
    assert torch.allclose(faithfulness.area(deletion, deletion[:, 0]).float(), 1 - expected, atol=1e-5)
    back, forth = faithfulness.curves(own.probability, x, faithfulness.ranking(-adds, KEYS), own.paint, 64)
    assert (faithfulness.area(forth, forth[:, -1]) < area).all(), "the order turned round inserts the least first"
    assert (back.diff(dim=1) <= 1e-6).all()


def test_steps_are_equal_shares_and_the_ends_are_the_image_and_nothing(x, w):
    own = explainer(Share(w), x, colour=(0.5, 0.4, 0.3))
    places = faithfulness.ranking(torch.rand(3, 8, 8), KEYS)
    seen = []
    faithfulness.curves(lambda images, rows: seen.append(images) or torch.ones(len(rows)), x, places, own.paint, 4)
    hidden = [(images == own.paint).all(1).flatten(1).sum(1).tolist() for images in seen]
    assert hidden == [[0] * 3, [64] * 3, [16] * 3, [48] * 3, [32] * 3, [32] * 3, [48] * 3, [16] * 3]


def test_places_follow_the_map_and_ties_are_broken_by_the_images_key(generator):
    maps = torch.randn(3, 4, 4, generator=generator)
    places = faithfulness.ranking(maps, KEYS)
    assert torch.equal(places.argsort(1), maps.flatten(1).argsort(1, descending=True))
    empty = faithfulness.ranking(torch.zeros(3, 4, 4), KEYS)
    assert empty.sort(1).values.tolist() == [list(range(16))] * 3 and not torch.equal(empty[0], empty[1])
    assert torch.equal(faithfulness.ranking(torch.zeros(1, 4, 4), KEYS[1:2])[0], empty[1])


# --- sensitivity and infidelity ---------------------------------------------------------------------------------------


def test_sensitivity_of_a_linear_network_is_zero_for_its_gradient_and_known_for_its_product(x, w):
    still = explainer(Score(w), x)
    assert faithfulness.sensitivity(still.raw, x, KEYS, draws=3, radius=0.02).max() == 0
    moved = explainer(Score(w), x, "ig", steps=3)
    found = faithfulness.sensitivity(moved.raw, x, KEYS, draws=3, radius=0.02)
    for k, generator in enumerate(attributions.generators(0, KEYS)):
        noise = 0.02 * (2 * torch.rand(3, *x.shape[1:], generator=generator) - 1)
        norms = ((x[k] + noise).clamp(0, 1) - x[k]).mul(w).flatten(1).norm(dim=1)
        assert found[k] == pytest.approx(float(norms.max() / (w * x[k]).norm()), rel=1e-3)
    alone = explainer(Score(w), x[1:2], "ig", steps=3)
    one = faithfulness.sensitivity(alone.raw, x[1:2], KEYS[1:2], draws=3, radius=0.02)
    assert one.item() == pytest.approx(found[1].item(), rel=1e-4), "the draws of an image depend on its key alone"


def test_infidelity_is_zero_for_what_adds_up_one_for_an_empty_map_and_the_uncentred_share_else(x, w):
    own = explainer(Score(w), x, "ig", steps=3)
    hidden = faithfulness.patches(x, KEYS, 12)
    adds = own.contributions(own.explain()[0])
    measured = lambda maps: faithfulness.infidelity(own.explained_score, x, maps, own.paint, hidden)  # noqa: E731
    assert measured(adds).max() < 1e-5 and measured(-7 * adds).max() < 1e-5  # scale and sign are fitted
    assert measured(torch.zeros_like(adds)).tolist() == [1, 1, 1]
    other = torch.rand(adds.shape, generator=torch.Generator().manual_seed(5))
    said = (other.repeat_interleave(12, 0) * hidden).sum((1, 2, 3)).view(3, 12)
    real = ((w * x).repeat_interleave(12, 0) * hidden).sum((1, 2, 3)).view(3, 12)
    share = 1 - (said * real).sum(1) ** 2 / (said.square().sum(1) * real.square().sum(1))
    assert torch.allclose(measured(other).float(), share, atol=1e-4)


def test_the_gradient_of_a_linear_network_is_faithful_from_any_colour(x, w):
    own = explainer(Score(w), x, colour=(0.4, 0.5, 0.6))
    hidden = faithfulness.patches(x, KEYS, 12)
    adds = own.contributions(own.explain()[0])
    assert faithfulness.infidelity(own.explained_score, x, adds, own.paint, hidden).max() < 1e-5


def test_patches_are_squares_of_the_stated_sizes_keyed_by_the_image():
    x = torch.zeros(2, 3, 16, 16)
    hidden = faithfulness.patches(x, KEYS[:2], 40)[:, 0]
    for mask in hidden:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert rows == columns and 2 <= rows <= 8 and mask.sum() == rows * columns
    assert {int(mask.any(1).sum()) for mask in hidden} == set(range(2, 9))
    assert torch.equal(faithfulness.patches(x[:1], KEYS[1:2], 40)[:, 0], hidden[40:])


# --- random weights ---------------------------------------------------------------------------------------------------


def test_the_cascade_begins_at_the_logits_and_leaves_the_network_alone(generator):
    network = build("resnet18-slim3", classes=4, width=4, stem="cifar-stride2", generator=generator).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state, changed = torch.get_rng_state(), []
    parts = faithfulness.stages(network)
    for count in range(len(parts) + 1):
        other = faithfulness.randomised(network, count, 7).state_dict()
        changed.append({name.split(".")[0] for name in before if not torch.equal(before[name], other[name])})
    assert changed[:3] == [set(), {"fc"}, {"fc", "layer3"}]
    assert changed[-1] >= {"fc", "layer3", "layer2", "layer1", "conv1"} and len(parts) == 5
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), state)


def test_rank_correlation_agrees_with_scipy(generator):
    from scipy.stats import spearmanr

    maps, others = (torch.randn(3, 5, 5, generator=generator).mul(2).round() for _ in range(2))  # with ties
    found = faithfulness.rank_correlation(maps, others)
    for k in range(3):
        expected = spearmanr(maps[k].abs().flatten(), others[k].abs().flatten()).statistic
        assert found[k].item() == pytest.approx(expected)
    assert faithfulness.rank_correlation(maps, -3 * maps).tolist() == pytest.approx([1, 1, 1])
    assert faithfulness.rank_correlation(maps, torch.zeros(3, 5, 5)).tolist() == [0, 0, 0]


# --- measures on a map ------------------------------------------------------------------------------------------------


def test_a_map_that_is_the_mask_and_one_that_is_zero():
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[:, 1:3, 1:3] = True
    maps = torch.stack([mask[0].float(), torch.zeros(4, 4)])
    assert attributions.energy(maps, mask).tolist() == [4, 1]
    assert attributions.pointing(maps, mask).tolist() == [1, 0.25]
    assert attributions.gini(maps).tolist() == pytest.approx([0.75, 0])


def test_pointing_and_gini_on_hand_made_maps(generator):
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, 0] = True
    one = torch.zeros(1, 4, 4)
    one[0, 0, 2], one[0, 3, 3] = 1.0, -2.0
    assert attributions.pointing(one, mask).item() == 0, "the largest absolute value is off the object"
    one[0, 0, 2] = 2.0
    assert attributions.pointing(one, mask).item() == 0.5
    alone = torch.zeros(1, 4, 4)
    alone[0, 1, 1] = -3
    assert attributions.gini(alone).item() == pytest.approx(15 / 16)
    assert attributions.gini(torch.full((1, 4, 4), 0.2)).item() == pytest.approx(0, abs=1e-12)
    values = torch.rand(1, 5, 5, generator=generator, dtype=torch.float64)
    flat = values.flatten().numpy()
    expected = np.abs(flat[:, None] - flat).mean() / (2 * flat.mean())  # the other definition: mean difference
    assert attributions.gini(values).item() == pytest.approx(expected)


def test_the_gradient_of_a_linear_network(x, w):
    found = attributions.gradient(Score(w), x, torch.ones(3).long(), batch_size=2)
    assert torch.allclose(found, w.expand_as(x)) and not found.requires_grad
    own = explainer(Score(w), x)
    assert torch.allclose(own.located(found), w.abs().sum(0).expand(3, -1, -1))
    assert torch.equal(own.ranked(-found), own.located(found)), "a gradient's sign is no evidence"
