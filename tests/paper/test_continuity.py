"""Section 4.2 on networks whose answers are known in closed form, and the shapes of its tables."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semcont import LEVELS, ImageSet, distance_score
from semcont.paper import claims, continuity, plots, statistics
from semcont.paper.plots import style
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained

SMOKE = load_preset("smoke")
SETTINGS = ["perturbation", "level"]


@pytest.fixture(autouse=True)
def _look():
    """The figures as a section makes them, closed afterwards."""
    with matplotlib.rc_context():
        style.use()
        yield
    plt.close("all")


class Linear(nn.Module):
    """scale * (W x), no bias: every DS is known exactly."""

    def __init__(self, scale: float = 1.0, classes: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, classes, bias=False)
        nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        self.scale = scale

    def forward(self, x):
        return self.scale * self.linear(x.flatten(1))


@pytest.fixture
def images() -> ImageSet:
    """Dark images, so that even +64/255 clamps nothing; two images to a group."""
    pixels = torch.randint(0, 150, (24, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    labels, groups = torch.arange(24) % 3, torch.arange(24) // 2
    return ImageSet("dark", pixels, labels, ("a", "b", "c"), groups=groups)


def _run(network: nn.Module, images: ImageSet) -> SimpleNamespace:
    return SimpleNamespace(model=network.eval, images=lambda split: images)


def _table(values: dict[str, float], **columns) -> pd.DataFrame:
    """One row per arm with that value and a narrow interval."""
    rows = [
        {"arm": arm, "seed": 0, **columns, "value": v, "low": v - 0.01, "high": v + 0.01} for arm, v in values.items()
    ]
    return pd.DataFrame(rows)


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_a_linear_network_moves_with_the_square_of_the_brightness(images):
    network = Linear()
    score = continuity.only(continuity.by_level(_run(network, images)), "score").set_index(SETTINGS)["score"]
    per_unit = float(network.linear.weight.detach().sum(1).square().sum())
    for level, amount in enumerate(LEVELS["brightness"], 1):
        assert score["brightness", level] == pytest.approx((amount / 255) ** 2 * per_unit, rel=1e-4)


def test_both_signs_average_the_two_directions(images):
    network = Linear()
    table = continuity.by_level(_run(network, images))
    both = continuity.only(table, "score", "+-").set_index(SETTINGS)["score"]
    x = images.float()
    with torch.no_grad():
        expected = [
            distance_score(network(x), network(continuity.perturb(x, "contrast", 3, s))).mean() for s in (1, -1)
        ]
    assert both["contrast", 3] == pytest.approx(float(sum(expected) / 2), rel=1e-5)
    assert both["contrast", 3] != pytest.approx(float(expected[0]), rel=1e-3)


def test_nothing_moves_at_level_zero(images):
    logits = Linear()(continuity.perturb(images.float(), "hue", 0)).detach()
    found = continuity.distances(Linear()(images.float()).detach(), logits)
    assert {name: values.max() for name, values in found.items()} == pytest.approx(
        {"score": 0, "cosine": 0, "kl": 0, "flip": 0}, abs=1e-6
    )


def test_scaling_the_logits_moves_ds_and_not_what_has_no_scale(images):
    one, ten = (continuity.by_level(_run(Linear(scale), images)) for scale in (1, 10))
    for measure, factor in (("score", 100), ("relative_score", 1), ("cosine", 1), ("flip", 1)):
        a, b = (continuity.only(table, measure)[measure] for table in (one, ten))
        np.testing.assert_allclose(b, factor * a, rtol=1e-3, atol=1e-7, err_msg=measure)


def test_a_shift_of_all_logits_is_no_cosine_and_no_kl():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    found = continuity.distances(logits, logits + 7)
    assert found["score"] == pytest.approx(4 * 49, rel=1e-5)
    assert np.abs(found["cosine"]).max() < 1e-5 and np.abs(found["kl"]).max() < 1e-5 and not found["flip"].any()


def test_the_distance_between_classes_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    logits, labels, weights = (
        rng.normal(size=(9, 4)) + 100,
        np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]),
        rng.integers(0, 3, (2, 9)),
    )
    apart = ((logits[:, None] - logits[None]) ** 2).sum(2)
    other = labels[:, None] != labels[None]
    assert continuity.between_classes(logits, labels) == pytest.approx([apart[other].mean()])
    both = weights[:, :, None] * weights[:, None, :] * other
    expected = (both * apart).sum((1, 2)) / both.sum((1, 2))
    assert continuity.between_classes(logits, labels, weights) == pytest.approx(expected)


def test_the_relative_score_resamples_numerator_and_denominator_together():
    """Where DS is the same multiple of the distance between classes in every resample, the interval has no width."""
    logits = np.eye(2)[np.arange(20) % 2] * 3
    found = continuity.relative(np.full(20, 9.0), logits, np.arange(20) % 2, None)
    assert found["value"] == pytest.approx(0.5) and (found["low"], found["high"]) == pytest.approx((0.5, 0.5))


def test_fig4_sums_the_four_scores_at_level_one(images):
    run = _run(Linear(), images)
    scores = continuity.only(continuity.by_level(run), "score")
    found = continuity.trade_off(run).set_index("measure")
    assert found["value"]["score"] == pytest.approx(scores[scores["level"] == 1]["score"].sum(), rel=1e-5)
    assert found["value"]["accuracy"] == pytest.approx(
        statistics.accuracy((Linear()(images.float()).argmax(1) == images.labels).numpy())["accuracy"]
    )
    assert found["chance"].tolist() == pytest.approx([1 / 3] * 3) and set(found["n"]) == {24}


# --- tables, figures and words ----------------------------------------------------------------------------------------


def test_table_1_is_the_papers():
    pd.testing.assert_frame_equal(continuity.table1_levels(), claims.numbers(1), check_dtype=False)


def test_fig3_has_64_rows_for_four_arms_and_fig4_five_alphas():
    table = pd.concat([measured(trained(SMOKE, arm, 0), continuity.by_level) for arm in SMOKE.arms])
    scores = continuity.only(table, "score")
    assert list(scores.columns) == ["arm", "seed", "perturbation", "level", "score", "n", "low", "high"]
    assert len(scores) == 64 and not scores.duplicated(["arm", "seed", *SETTINGS]).any()
    assert scores["low"].le(scores["score"]).all() and scores["score"].le(scores["high"]).all()
    assert len(continuity.only(table, "relative_score")) == len(continuity.only(table, "score", "+-")) == 64
    assert len(continuity.others(table)) == 3 * 64 and "c below base in" in continuity.describe(scores)
    axes = plots.continuity_levels(scores)
    assert [panel.get_title(loc="left") for panel in axes.flat] == ["Brightness", "Contrast", "Saturation", "Hue"]
    assert {panel.get_yscale() for panel in axes.flat} == {"log"}
    runs = [trained(SMOKE, "c", 0, alpha=alpha) for alpha in SMOKE.continuity.alphas]
    trade = pd.concat([measured(run, continuity.trade_off) for run in runs])
    assert runs[0].key == trained(SMOKE, "base", 0).key and runs[2].key == trained(SMOKE, "c", 0).key
    assert list(continuity.fig4(trade)["alpha"]) == ["0", "0.1", "1", "10", "100"]
    entry = claims.evidence(trade, "value", by="alpha", unit="share", measure="accuracy")
    assert {"alpha=0", "alpha=1"} <= {row["label"] for row in entry["rows"]}
    left, right = plots.alpha_trade_off(trade).flat
    assert [text.get_text() for text in left.get_xticklabels()] == ["0", "0.1", "1", "10", "100"]
    places = left.get_xticks()
    assert np.diff(places) == pytest.approx(np.ones(4)) and right.get_yscale() == "log"


def test_one_image_at_the_sixteen_settings(images):
    pictures = continuity.sixteen(images)
    assert pictures.shape == (4, 5, 3, 8, 8) and (pictures[:, 0] == pictures[0, 0]).all()
    x = images.float()
    assert torch.equal(pictures[0, 0], x[(x.amax(1) - x.amin(1)).mean((1, 2)).argmax()])
    axes = plots.perturbed_images(pictures)
    assert axes[0, 1].get_title() == "+16/255" and axes[3, 4].get_title() == "0.4 turn"


@pytest.mark.parametrize(
    ("constrained", "words"), [(0.1, "lower in 1 of 1: the paper's direction"), (0.9, "lower in 0 of 1: the opposite")]
)
def test_the_conclusion_follows_the_data(constrained, words):
    table = _table({"base": 0.5, "c": constrained}, perturbation="hue", level=1).rename(columns={"value": "score"})
    text = continuity.conclusion(table)
    assert f"**Hue**, `c` against `base`: {words}" in text and "(intervals apart in 1)" in text
    assert "Single run" in text and "adv" not in text


def test_a_mixed_direction_is_called_mixed_and_seeds_are_counted():
    rows = [{"first": 0.1, "second": 0.2, "apart": False}, {"first": 0.3, "second": 0.2, "apart": True}]
    assert continuity.direction(pd.DataFrame(rows)) == "lower in 1 of 2: mixed (intervals apart in 1)"
    two = pd.concat([_table({"base": 1.0}), _table({"base": 1.0}).assign(seed=1)])
    assert continuity.seeds(two).startswith("2 networks per arm")
    assert continuity.seeds(pd.concat([two, _table({"squeeze": 1.0})])).startswith("1 to 2 networks per arm")


def test_the_order_in_both_directions_is_held_against_fig3():
    plus, both = (
        pd.concat(_table({"base": 2, "c": c}, perturbation="hue", level=n) for n, c in enumerate(cs, 1))
        for cs in ((1, 1, 3), (1, 3, 3))
    )
    text = continuity.conclusion_signs(*(table.rename(columns={"value": "score"}) for table in (plus, both)))
    assert "in 2 of 3 settings" in text


@pytest.mark.parametrize(("accuracy", "words"), [(0.7, "20.0 points lower than"), (0.9, "the same as")])
def test_the_price_of_alpha_is_told(accuracy, words):
    rows = []
    for alpha, values in ((0.0, (0.9, 8.0, 0.4)), (1.0, (accuracy, 2.0, 0.8))):
        for measure, value in zip(("accuracy", "score", "relative_score"), values, strict=True):
            rows.append({"seed": 0, "alpha": alpha, "measure": measure, "value": value})
    text = continuity.conclusion_alpha(pd.DataFrame(rows))
    assert f"accuracy is {words} without the constraint" in text
    assert "the distance score is 4 times smaller, the relative score 2 times larger" in text


def test_asking_for_a_measure_that_is_not_there_is_an_error(images):
    table = continuity.by_level(_run(Linear(), images))
    with pytest.raises(ValueError, match=r"no rows of 'kl' with sign '\+-'"):
        continuity.only(table, "kl", "+-")


def test_several_seeds_are_a_mean_with_their_range():
    from semcont.paper.plots.lines import over_seeds

    table = pd.concat([_table({"c": value}, level=1).assign(seed=seed) for seed, value in enumerate((0.2, 0.4))])
    row = over_seeds(table, ["level"]).iloc[0]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.3, 0.2, 0.4))
    row = over_seeds(table[table["seed"] == 0], ["level"]).iloc[0]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.2, 0.19, 0.21))
