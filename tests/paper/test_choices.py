"""The errata: in step with what is measured, pointing at files that exist, and a row for each open choice."""

import re

import pandas as pd
import pytest
import torch

from semcont.paper import paths
from semcont.paper.paths import UserError
from semcont.paper.publishing import choices


@pytest.fixture(scope="module")
def page():
    return (paths.root() / "docs" / "errata.md").read_text(encoding="utf-8")


def test_its_numbers_are_the_measured_ones(page):
    assert page == choices.generated(page, choices.measured()), "run `python -m semcont.paper.publishing.choices`"


def test_its_links_and_paths_lead_to_files(page):
    root = paths.root()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if not link.startswith("http")]
    files = re.findall(r"`((?:semcont|notebooks|data)/[a-z0-9_/]+\.[a-z]+)`", page)
    assert len(links) > 10 and len(files) > 20
    assert not [link for link in links if not (root / "docs" / link).exists()]
    assert not [file for file in files if not (root / file).exists()]


def test_every_open_choice_has_a_row(page):
    decided = re.findall(r"^(\d+)\. \*\*", (paths.root() / "docs" / "decisions.md").read_text(), flags=re.M)
    ours, _, _ = page.partition("<!-- choices:begin -->")
    assert re.findall(r"^\| (\d+) \| [^|]+ \| .+ \| .+ \| .+ \|$", ours, flags=re.M) == decided


def test_no_decision_stands_twice():
    text = (paths.root() / "docs" / "decisions.md").read_text(encoding="utf-8")
    titles = re.findall(r"^- \*\*(.+?)\*\*", text, flags=re.M)
    assert len(titles) > 50 and not [title for title in titles if titles.count(title) > 1]


def test_on_images_where_the_answer_is_known():
    """Flat images, half of them at 0.2 and half at 0.6: closed forms for what has one."""
    x = torch.full((4, 3, 32, 32), 0.2)
    x[2:] = 0.6
    table = choices.effects(x).set_index("decision")
    assert table.loc[13, "otherwise"] == pytest.approx(8 * 0.2, rel=1e-3)  # standard deviation of each channel
    assert table.loc[15, "here"].tolist() == pytest.approx([16, 64], rel=1e-5)
    assert table.loc[15, "otherwise"].tolist() == pytest.approx([16 * 0.4, 64 * 0.4], rel=1e-5)
    assert table.loc[16, ["here", "otherwise"]].tolist() == pytest.approx([0, 255 * 0.25 * 0.2], abs=0.01)
    for still in (17, 20, 21):  # no colour to turn, nothing to move
        assert table.loc[still, ["here", "otherwise"]].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert table.loc[22, "otherwise"] == pytest.approx(100 / 24)


def test_on_networks_arms_are_compared_on_the_seeds_that_both_have():
    rows = [("c", 0, 0.5), ("c", 1, 0.9), ("aug+c", 0, 0.6)]
    table2 = pd.DataFrame(rows, columns=["arm", "seed", "accuracy"]).assign(attack="none", eps=0, n=1000)
    beyond = pd.DataFrame({"first": ["c", "aug+c"] * 2, "second": ["base", "aug"] * 2, "n": [3, 1] * 2})
    beyond = beyond.assign(measure=["clean"] * 2 + ["relative_score"] * 2, mean=[-0.07, -0.08, -0.5, -0.4])
    rows = [(arm, 0, space, eps) for arm in ("base", "c", "adv", "adv+c") for space in "ab" for eps in (4, 8)]
    radii = pd.DataFrame(rows, columns=["arm", "seed", "space", "eps"]).assign(training="the arms", n=100)
    radii["accuracy"] = radii["space"].map({"a": 0.1, "b": 0.3}) + (radii["eps"] == 4)
    radii["space"] = radii["space"].map({"a": "pixels", "b": "normalised"})
    told = choices.on_networks(table2, beyond, radii)
    augmented, spaces = (told[told["decision"] == number] for number in (5, 13))
    assert augmented["seeds"].tolist() == [1, "3; 1", "3; 1"]
    assert augmented["here"].tolist() == pytest.approx([50, -7, -0.5])
    assert augmented["otherwise"].tolist() == pytest.approx([60, -8, -0.4])
    assert spaces["here"].tolist() == pytest.approx([10] * 4)
    assert spaces["otherwise"].tolist() == pytest.approx([30] * 4)


SPACES = ("pixels", "normalised")


def test_networks_trained_in_either_unit_are_compared_on_the_seeds_and_radii_of_both():
    rows = [("adv", seed, "the arms", space, eps) for seed in (0, 1) for space in SPACES for eps in (0, 4, 8)]
    rows += [("adv", 0, "radius in normalised space", space, eps) for space in SPACES for eps in (0, 4, 8)]
    rows += [("base", 0, "the arms", "pixels", 8), ("adv", 0, "radius in normalised, unclamped space", "pixels", 8)]
    radii = pd.DataFrame(rows, columns=["arm", "seed", "training", "space", "eps"]).assign(n=100)
    radii["accuracy"] = 0.9 - 0.1 * radii["seed"] - 0.05 * radii["eps"] - 0.2 * (radii["training"] != "the arms")
    told = pd.DataFrame([*choices._space_of_training(radii)], columns=["decision", "what", *"uinho"])
    assert [what.split(":")[0] for what in told["what"]] == [
        "accuracy of `adv` without an attack",
        "accuracy of `adv` within 8/255 of pixels",
        "accuracy of `adv` within 8/255 of normalised inputs",
    ]
    assert told["n"].tolist() == [1] * 3
    assert told["h"].tolist() == pytest.approx([90, 50, 50]) and told["o"].tolist() == pytest.approx([70, 30, 30])


def test_a_page_without_markers_is_said():
    for name in ("choices", "networks"):
        with pytest.raises(UserError, match=f"{name}:begin"):
            choices.generated("# Errata\n", {name: choices.effects(torch.rand(2, 3, 32, 32))})
