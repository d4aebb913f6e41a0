"""Section 2: rates and ranks on hand-made logits, Fig. 1's rule, and the measurements on a smoke run."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from semcont.paper import discontinuity, embeddings, plots
from semcont.paper.evidence import evidence
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained
from semcont.perturbations import LEVELS, perturb


@pytest.fixture(scope="module")
def run():
    return trained(load_preset("smoke"), "base", 0)


@pytest.fixture(scope="module")
def distances(run):
    return measured(run, discontinuity.distances, per_class=10)


# --- distances within the class ---------------------------------------------------------------------------------------


def test_within_class_leaves_out_other_classes_and_the_image_itself():
    logits = torch.tensor([[0.0, 0.0], [5.0, 0.0]])
    reference = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.1, 0.0], [5.0, 2.0], [0.0, 2.0]])
    labels, groups = torch.tensor([0, 0, 0, 1, 1, 0]), torch.tensor([7, 1, 2, 3, 4, 5])
    found = discontinuity.within_class(
        logits, torch.tensor([0, 1]), torch.tensor([7, 8]), reference, labels, groups
    )  # the first image's own glyph, 7, lies on it in the reference, and an image of another class nearly so
    assert found["nearest"].tolist() == pytest.approx([1.0, 4.0])
    assert found["neighbour"].tolist() == [1, 4]
    assert found["median"].tolist() == pytest.approx([4.0, (4.9**2 + 4) / 2])  # of 1, 9, 4; of two, their mean
    assert found["others"].tolist() == [3, 2]


def test_within_class_needs_another_image():
    one = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="class 0 has no other image"):
        discontinuity.within_class(one, torch.zeros(1).long(), torch.ones(1), one, torch.zeros(1).long(), torch.ones(1))


def _table(scores, predicted_prime, perturbation=("hue",), **more) -> pd.DataFrame:
    n = len(scores)
    about = {"arm": "base", "seed": 0, "level": 1, "image": range(n), "group": range(n), "nearest": 1.0, "median": 2.0}
    table = pd.DataFrame(
        about | {"score": scores, "predicted": 0, "predicted_prime": predicted_prime, "label": 0} | more
    )
    return pd.concat([table.assign(perturbation=name) for name in perturbation], ignore_index=True)


def test_rates_on_hand_made_distances():
    table = discontinuity.rates(_table([0.5, 1.0, 1.5, 3.0], [0, 0, 0, 1], ("hue", "contrast")))
    single = table[table["perturbation"] == "hue"].set_index("measure")
    assert single["rate"].to_dict() == {
        "beyond_nearest": 0.5,
        "beyond_median": 0.25,
        "flip_rate": 0.25,
    }  # equal: not beyond
    pooled = table[table["perturbation"] == discontinuity.POOLED].set_index("measure")
    assert pooled["n"].tolist() == [8] * 3 and pooled["rate"].tolist() == single["rate"].tolist()
    assert (table["low"] <= table["rate"]).all() and (table["rate"] <= table["high"]).all()


def test_intervals_are_over_glyphs_and_not_over_images():
    scores = [0.0, 3.0] * 20
    free = discontinuity.rates(_table(scores, 0))
    tied = discontinuity.rates(_table(scores, 0, group=[0, 1] * 20))  # two glyphs, of which one decides everything
    width = lambda table: (table["high"] - table["low"]).iloc[0]  # noqa: E731
    assert width(tied) == 1.0 and width(free) < 0.4


def test_pooling_resamples_an_image_with_its_four_versions():
    table = _table([0.0, 3.0] * 20, 0)
    alone = discontinuity.rates(table).query("perturbation == 'all four' and measure == 'beyond_nearest'")
    four = discontinuity.rates(_table([0.0, 3.0] * 20, 0, tuple(LEVELS)))
    four = four.query("perturbation == 'all four' and measure == 'beyond_nearest'")
    assert four[["low", "high"]].to_numpy() == pytest.approx(alone[["low", "high"]].to_numpy())


@pytest.mark.parametrize(
    ("score", "words"), [(3.0, "**most**"), (0.5, "**a minority**"), ([0.5, 3.0] * 10, "**about half**")]
)
def test_the_conclusion_follows_the_table(score, words):
    scores = score if isinstance(score, list) else [score] * 20
    assert words in discontinuity.conclusion(discontinuity.rates(_table(scores, 0, tuple(LEVELS))))


# --- Fig. 1 -----------------------------------------------------------------------------------------------------------


def test_examples_follow_the_rule():
    table = _table([1.0, 9.0, 4.0, 2.0, 3.0], 0, tuple(LEVELS))
    found = discontinuity.examples(table, [1.0, 0.5, 1.0])  # a quantile twice is one example
    assert len(found) == 8 and found["quantile"].tolist() == [1.0] * 4 + [0.5] * 4
    assert found["image"].tolist() == [1] * 4 + [4] * 4
    with pytest.raises(ValueError, match="quantile"):
        discontinuity.examples(table, [1.5])


def test_pictures_are_the_images_that_the_table_names(run, distances):
    chosen = discontinuity.examples(distances, [1.0])
    pictures = discontinuity.pictures(run, chosen, 10)
    assert pictures.shape == (4, 3, 32, 32, 3)
    first, test = chosen.iloc[0], run.images("test")
    original = test.float([int(first["image"])])
    moved = perturb(original, first["perturbation"], 1)
    assert torch.equal(torch.from_numpy(pictures[0, 1]), moved[0].permute(1, 2, 0))
    near = discontinuity.reference(run, 10)
    assert near.labels[int(first["neighbour"])] == test.labels[int(first["image"])]


# --- the measurement --------------------------------------------------------------------------------------------------


def test_the_reference_is_of_different_glyphs_that_no_network_trained_on(run):
    found = discontinuity.reference(run, 10)
    assert torch.bincount(found.labels).tolist() == [10] * 10
    assert len(found.groups.unique()) == len(found)
    assert not set(found.groups.tolist()) & set(run.images("train").groups.tolist())


def test_distances_agree_with_their_definition(run, distances):
    n = len(run.images("test"))
    assert len(distances) == 16 * n and (distances["others"].isin([9, 10])).all()
    row = distances[(distances["perturbation"] == "contrast") & (distances["level"] == 3)].iloc[5]
    model, test, others = run.model(), run.images("test"), discontinuity.reference(run, 10)
    with torch.no_grad():
        x = test.float([5])
        logits, moved = model(x).double(), model(perturb(x, "contrast", 3)).double()
        rest = model(others.float()).double()
    assert row["score"] == pytest.approx(float((logits - moved).square().sum()), rel=1e-4)
    same = (others.labels == test.labels[5]) & (others.groups != test.groups[5])
    scores = (rest[same] - logits).square().sum(1).numpy()
    assert row["nearest"] == pytest.approx(scores.min(), rel=1e-4)
    assert row["median"] == pytest.approx(np.median(scores), rel=1e-4)
    assert row["label"] == int(test.labels[5]) and row["group"] == int(test.groups[5])


def test_the_cached_table_equals_a_fresh_one(run, distances):
    fresh = discontinuity.distances(run, per_class=10)
    pd.testing.assert_frame_equal(distances.drop(columns=["arm", "seed"]), fresh)
    again = measured(run, discontinuity.distances, per_class=10)
    pd.testing.assert_frame_equal(again, distances)


def test_a_set_without_reference_or_groups_takes_its_test_images(run, monkeypatch):
    test = dataclasses.replace(run.images("test"), groups=None)
    monkeypatch.setattr(discontinuity.datasets, "splits", lambda name: ("train", "test"))
    monkeypatch.setattr(type(run), "images", lambda self, split: test)
    found = discontinuity.distances(run, per_class=3)
    assert (found["others"].isin([2, 3])).all()  # an image of the reference is not its own neighbour
    assert (found["nearest"] > 0).all() and found["group"].nunique() == len(test)


# --- Fig. 2 -----------------------------------------------------------------------------------------------------------


def test_ranks_on_hand_made_coordinates():
    points = np.array([[0.0, 0], [1, 0], [3, 0], [0, 2], [0, 8], [0, 5], [0, 7]])  # original, four versions, two others
    assert embeddings.ranks(points).tolist() == [1, 3, 2, 6]
    tied = np.array([[0.0], [1], [1], [1], [1], [1]])
    assert embeddings.ranks(tied).tolist() == [3] * 4  # equal distances share the mean of their ranks


def test_pca_of_a_plane_keeps_every_distance():
    plane = np.random.default_rng(0).normal(size=(12, 2))
    points = (
        np.concatenate([plane, np.zeros((12, 3))], axis=1)
        @ np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    )
    found = embeddings.project(points, "pca")
    assert np.linalg.norm(found - found[0], axis=1) == pytest.approx(np.linalg.norm(points - points[0], axis=1))
    assert embeddings.project(points, "logits") is points
    with pytest.raises(ValueError, match="unknown embedding 'isomap'"):
        embeddings.project(points, "isomap")


@pytest.mark.parametrize("embedding", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_seeded_maps_repeat_and_keep_neighbours(embedding):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(15, 10)), 50 + rng.normal(size=(15, 10))])
    found = embeddings.project(points, embedding, seed=1)
    assert found.shape == (30, 2) and np.array_equal(found, embeddings.project(points, embedding, seed=1))
    nearest = np.linalg.norm(found[:, None] - found[None], axis=2) + np.diag([np.inf] * 30)
    assert ((nearest.argmin(1) < 15) == (np.arange(30) < 15)).all()


def _ranked(ranks) -> pd.DataFrame:
    about = {"arm": "base", "seed": 0, "embedding": "pca", "points": 13, "perturbation": list(LEVELS)}
    return pd.concat([pd.DataFrame(about | {"image": k, "group": k, "rank": row}) for k, row in enumerate(ranks)])


def test_mean_ranks_and_shares_on_hand_made_ranks():
    table = _ranked([[1, 2, 3, 4], [4, 3, 2, 1], [2, 3, 4, 13], [1, 5, 6, 7]])
    means = embeddings.mean_ranks(table).set_index("perturbation")
    assert means.loc[discontinuity.POOLED, "rank"] == pytest.approx((10 + 10 + 22 + 19) / 16)
    assert means.loc["brightness", "rank"] == 2 and set(means["chance"]) == {7.0}
    shares = embeddings.nearest_shares(table).set_index("measure")["share"]
    assert shares.to_dict() == {"one": 0.75, "all": 0.5}
    perfect = embeddings.mean_ranks(_ranked([[1, 2, 3, 4]] * 3)).set_index("perturbation")
    assert perfect.loc[discontinuity.POOLED, "rank"] == embeddings.NEAREST_RANK


def test_maps_and_ranks_on_a_smoke_run(run, monkeypatch):
    monkeypatch.setattr(
        embeddings, "EMBEDDINGS", {"logits": "logits", "pca": "PCA", "tsne": "t-SNE"}
    )  # UMAP compiles long
    maps = measured(run, embeddings.maps, per_class=10, image=3)
    assert set(maps["point"]) == {"original", "reference", *LEVELS} and set(maps["label"]) == {
        int(run.images("test").labels[3])
    }
    ranked = maps[maps["embedding"] == "pca"].dropna(subset="rank")
    assert sorted(ranked["rank"]) == list(range(1, len(ranked) + 1))
    alone = measured(run, embeddings.neighbours, per_class=10, images=4)
    assert len(alone) == 4 * 4 * 2 and alone["points"].isin([13, 14]).all() and alone["rank"].between(1, 14).all()
    drawn = embeddings.drawn(run, 4)
    assert list(dict.fromkeys(alone["image"])) == drawn == embeddings.drawn(run)[:4]
    own = measured(run, embeddings.maps, per_class=10)
    assert set(own["image"]) == {drawn[0]}  # the first that is drawn
    first = alone[(alone["image"] == drawn[0]) & (alone["embedding"] == "pca")].set_index("perturbation")["rank"]
    same = own[(own["embedding"] == "pca") & own["point"].isin(LEVELS)].set_index("point")["rank"]
    assert first.to_dict() == same.to_dict()
    told = embeddings.describe_maps(maps, ["a", "b", *"cdefghij"])
    assert f"class {chr(97 + maps['label'][0])}:" in told


# --- what the notebook shows ------------------------------------------------------------------------------------------


def test_figures_words_and_evidence_from_a_smoke_run(run, distances):
    table = discontinuity.rates(distances)
    assert len(table) == 5 * 4 * 3 and "settings" in discontinuity.setup(distances)
    read = discontinuity.reading(table)
    assert list(read["perturbation"]) == [*LEVELS, discontinuity.POOLED] and list(read)[1:] == list(
        discontinuity.MEASURES.values()
    )
    axes = plots.discontinuity_rates(table, others=9)
    assert axes.shape == (1, 3) and len(axes[0, 0].lines) == 4 + 1  # four perturbations and the dotted line
    chosen = discontinuity.examples(distances, [1.0, 0.5])
    grid = plots.pairs(chosen, discontinuity.pictures(run, chosen, 10), run.record["classes"])
    assert grid.shape == (4, 7) and f"DS {chosen['score'][0]:.2f}"[:4] in grid[0, 1].get_xlabel()
    found = evidence(table, "rate", measure="beyond_nearest", level=1, perturbation=discontinuity.POOLED)
    assert len(found["rows"]) == 1 and found["rows"][0]["n"] == 4 * 60
    two = pd.concat([table, table.assign(arm="c")])
    assert list(discontinuity.reading(two[two["perturbation"] == discontinuity.POOLED])["arm"]) == ["base", "c"]
    assert discontinuity.conclusion_arms(two).count("`") == 4
    alone = discontinuity.reading(table[table["perturbation"] == discontinuity.POOLED])  # one arm, one row
    assert list(alone["arm"]) == ["base"] and list(alone)[1:] == list(discontinuity.MEASURES.values())
    for text in (discontinuity.describe_rates(table), discontinuity.describe_pairs(chosen, run.record["classes"])):
        assert all(name in text for name in LEVELS)


def test_several_seeds_are_told_by_their_range():
    table = pd.DataFrame({"rate": [0.1, 0.3], "low": [0.0, 0.2], "high": [0.2, 0.4]})
    assert discontinuity.share(table) == "20.0 % (10.0 to 30.0 over 2 networks)"
    assert discontinuity.share(table[:1]) == "10.0 % [0.0, 20.0]"


def test_the_ranks_are_drawn_and_told():
    table = _ranked([[1, 2, 3, 4], [1, 2, 3, 9]])
    means, shares = embeddings.mean_ranks(table), embeddings.nearest_shares(table)
    ax = plots.neighbour_ranks(means)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["PCA"]
    text = embeddings.conclusion(means, shares)
    assert "2.5" in text and "strays furthest is hue" in text and "hue 6.5" in embeddings.describe_ranks(means)
