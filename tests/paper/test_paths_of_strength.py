"""The worst case over a path of strengths, on networks for which it is known, and what brightness clamps."""

import math
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semcont import LEVELS, ImageSet
from semcont.paper import continuity, paths_of_strength, plots
from semcont.paper.plots import style

BRIGHTEST = 64 / 255


class Linear(nn.Module):
    """scale * W x, without a bias."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, 3, bias=False)
        nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        self.scale = scale

    def forward(self, x):
        return self.scale * self.linear(x.flatten(1))

    @property
    def per_unit(self) -> float:
        """||W 1||: how far the logits move when every pixel gets 1 brighter."""
        return self.scale * float(self.linear.weight.detach().sum(1).norm())


class Bump(nn.Module):
    """One logit that is highest where x is on average `at` / 255 brighter, and falls off quadratically."""

    def __init__(self, x: torch.Tensor, at: float) -> None:
        super().__init__()
        self.peak = x.mean((1, 2, 3)) + at / 255

    def forward(self, x):
        away = (x.mean((1, 2, 3)) - self.peak) * 255 / 64
        return torch.stack([-(away**2), torch.zeros_like(away)], 1)


@pytest.fixture
def images() -> ImageSet:
    """Grey levels from 80 to 150, so that +-64 clamps nothing."""
    pixels = torch.randint(80, 150, (24, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    masks = torch.zeros(24, 8, 8, dtype=torch.bool)
    masks[:, 2:5, 2:5] = True
    groups = torch.arange(24) // 2
    return ImageSet("dark", pixels, torch.arange(24) % 3, ("a", "b", "c"), masks=masks, groups=groups)


def _table(network: nn.Module, images: ImageSet, **settings) -> pd.DataFrame:
    run = SimpleNamespace(model=network.eval, images=lambda split: images)
    return paths_of_strength.by_path(run, images=None, **settings)


def _value(table: pd.DataFrame, measure: str, name: str = "brightness") -> float:
    return paths_of_strength.only(table, measure).set_index("perturbation")["value"][name]


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_a_linear_network_under_brightness(images):
    """DS is (64 t / 255)^2 ||W 1||^2: the course a parabola, the maximum at the ends, the slope 64/255 ||W 1||."""
    network = Linear()
    table = _table(network, images, points=9)
    logits = network(images.float()).detach().numpy()
    between = float(continuity.between_classes(logits, images.labels.numpy())[0])
    apart = paths_of_strength.mean_distance(logits, images.labels.numpy())
    most = (BRIGHTEST * network.per_unit) ** 2
    course = paths_of_strength.only(table, "course").query("perturbation == 'brightness'")
    np.testing.assert_allclose(course["value"], course["t"] ** 2 * most / between, rtol=1e-3, atol=1e-6)
    for measure in ("path", "levels"):
        assert _value(table, measure) == pytest.approx(most / between, rel=1e-3)
    for measure in ("slope", "steepest"):
        assert _value(table, measure) == pytest.approx(BRIGHTEST * network.per_unit / apart, rel=1e-3)


def test_all_but_flips_are_free_of_the_logits_scale(images):
    one, ten = (_table(Linear(scale), images, points=5, rounds=1) for scale in (1, 10))
    np.testing.assert_allclose(ten["value"], one["value"], rtol=1e-3, atol=1e-6)


def test_the_mean_distance_between_classes():
    logits, labels = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), np.array([0, 1, 1])
    assert paths_of_strength.mean_distance(logits, labels) == pytest.approx((5 + 1) / 2)


def test_a_maximum_between_the_levels_is_found_and_refined(images):
    """DS peaks at t = 0.4, which is no level and no point of a path of five: a parabola's top, known exactly."""
    x = images.float()
    network = Bump(x, at=0.4 * 64)
    logits = network(x)
    # Relative to x the logit moves by 0.16 - (t - 0.4)^2: 0.16 at the top, -1.8 at t = -1, which is further.
    walk = paths_of_strength.walked(network, x, logits, "brightness", points=5, rounds=0)
    np.testing.assert_allclose(walk["path"], (0.16 - 1.4**2) ** 2, rtol=1e-3)
    np.testing.assert_allclose(
        walk["levels"], max((0.16 - (t - 0.4) ** 2) ** 2 for t in (0.25, 0.5, 0.75, 1)), rtol=1e-3
    )
    coarse, fine = (_top(x, logits, network, rounds) for rounds in (0, 3))
    assert (coarse <= fine + 1e-7).all() and fine == pytest.approx(np.full(len(x), 0.16**2), rel=1e-4)
    assert coarse.max() < 0.16**2 * 0.99


def _top(x, logits, network, rounds: int) -> np.ndarray:
    """The largest DS near t = 0.5, from the point there."""
    centre = torch.full((len(x),), 0.5, dtype=torch.float64)
    best = torch.full((len(x),), (0.16 - 0.01) ** 2)
    reach = 0.25
    for _ in range(rounds):
        best, centre, reach = paths_of_strength._refined(network, x, logits, "brightness", best, centre, reach)
    return best.numpy()


def test_the_worst_case_is_never_below_the_four_levels_nor_the_course(images):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 3))
    table = _table(network, images, points=5, rounds=1)
    for name in LEVELS:
        course = paths_of_strength.only(table, "course").query("perturbation == @name")["value"]
        assert _value(table, "path", name) >= max(_value(table, "levels", name), course.max()) - 1e-9
        assert _value(table, "steepest", name) >= _value(table, "slope", name)


def test_the_path_ends_at_level_4_and_factors_are_spaced_by_ratio():
    for name, levels in LEVELS.items():
        assert paths_of_strength.strength(name, 1.0) == pytest.approx(levels[3])
        for level, value in enumerate(levels, 1):
            assert paths_of_strength.strength(name, paths_of_strength.place(name, level)) == pytest.approx(value)
    assert paths_of_strength.strength("contrast", -1.0) == pytest.approx(0.5)
    assert paths_of_strength.strength("contrast", 0.5) == pytest.approx(math.sqrt(2))
    assert paths_of_strength.strength("hue", -0.5) == pytest.approx(-0.2)


# --- what clamping takes ----------------------------------------------------------------------------------------------


def test_without_clamping_all_contrast_survives(images):
    table = paths_of_strength.surviving_contrast(images).set_index(["measure", "level"])["value"]
    assert table["contrast"].to_numpy() == pytest.approx(np.ones(9), abs=1e-5)
    assert table["object"].to_numpy() == pytest.approx(np.ones(9), abs=1e-4)
    assert table["clamped"].to_numpy() == pytest.approx(np.zeros(9))


def test_object_and_background_are_clamped_together():
    """Object 230, background 210: +32 leaves 255 and 242, 13 of 20 levels; +48 leaves nothing."""
    pixels = torch.full((4, 3, 8, 8), 210, dtype=torch.uint8)
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[:, :4] = True
    pixels[:, :, :4] = 230
    table = paths_of_strength.surviving_contrast(ImageSet("bright", pixels, torch.zeros(4).long(), ("a",), masks=masks))
    value = table.set_index(["measure", "level"])["value"]
    assert (value["object", 0], value["contrast", -4]) == pytest.approx((1, 1), abs=1e-5)
    assert value["object", 2] == pytest.approx(13 / 20, abs=1e-4) and value["contrast", 3] == pytest.approx(0, abs=1e-6)
    assert value["clamped", 2] == pytest.approx(0.5) and value["clamped", 3] == pytest.approx(1)
    shown = paths_of_strength.reading_contrast(table)
    assert list(shown["level"]) == list(range(-4, 5)) and shown.iloc[6, 2].startswith("65 %")


# --- figure and words -------------------------------------------------------------------------------------------------


def test_the_figure_and_the_words_follow_the_table(images):
    with matplotlib.rc_context():
        style.use()
        tables = [_table(Linear(scale), images, points=5, rounds=0) for scale in (1, 2)]
        table = pd.concat([t.assign(arm=arm, seed=0) for arm, t in zip(("base", "c"), tables, strict=True)])
        axes = plots.strength_paths(paths_of_strength.course(table))
        assert [panel.get_yscale() for panel in axes.flat] == ["log"] * 4
        assert axes[0, 0].get_xticklabels()[0].get_text() == "-64" and len(axes[0, 0].lines) == 4
        plt.close("all")
    text = paths_of_strength.conclusion(table)
    assert "`c` against `base`" in text and "Single run" in text
    assert len(paths_of_strength.reading(table)) == 4 * len(paths_of_strength.MEASURES)
    assert "Largest found" in paths_of_strength.describe(table)
    assert "four points" in paths_of_strength.conclusion(pd.DataFrame())
