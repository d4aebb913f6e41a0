"""What several sections share of their tables: cells for reading, and arrays out of tensors."""

import pandas as pd
import torch

from semcont import datasets
from semcont.paper import arrays, cells, doubling, robustness, training_length

TABLE = pd.DataFrame(
    {"arm": ["c", "c", "adv"], "seed": [0, 1, 0], "share": [0.5, 0.7, 0.25], "low": 0.2, "high": 0.75, "none": None}
)


def test_one_network_has_its_interval_and_several_their_spread():
    one = pd.DataFrame({"accuracy": [0.5], "gap": [-0.125], "low": [0.4], "high": [0.6]})
    assert cells.in_percent(one) == "50.0 [40.0, 60.0]"
    assert cells.in_percent(one, "gap", "{:+.1f}") == "-12.5 [+40.0, +60.0]"
    assert cells.in_percent(pd.concat([one, one.assign(accuracy=0.6)])) == "55.0 ± 7.1"
    assert (cells.in_epochs(1), cells.in_epochs(2)) == ("1 epoch", "2 epochs")


def test_arrays_and_what_a_bootstrap_resamples():
    assert arrays.numpy_of(None) is None and arrays.numpy_of(torch.arange(3)).tolist() == [0, 1, 2]
    images = datasets.load("photodigits", "test", n=20)
    assert arrays.groups_of(images).tolist() == images.groups.tolist()
    faces = datasets.load("faces", "all", n=5)
    assert faces.groups is None and arrays.groups_of(faces) is None


def test_a_share_has_its_interval_or_the_spread_over_seeds():
    shown = cells.shares(TABLE, "share", by=["arm"])
    assert shown.to_dict("list") == {"arm": ["c", "adv"], "percent": ["60.0 ± 14.1", "25.0 [20.0, 75.0]"]}


def test_a_mean_has_its_spread_and_what_is_not_there_a_dash():
    shown = cells.means(TABLE, ["share", "none"], by=["arm"])
    assert shown.to_dict("list") == {"arm": ["c", "adv"], "share": ["0.6 ± 0.141", "0.25"], "none": ["–", "–"]}


def test_what_had_levelled_off_is_read_without_codes():
    levels = pd.DataFrame({"arm": ["c"], "change": [0.26], "one_seed": [-1.5], "levelled": [True]})
    expected = {"arm": "c", "mean change": "+0.3", "the seed that moves most": "-1.5", "levelled off": "yes"}
    assert doubling.reading(levels).iloc[0].to_dict() == expected
    rows = [("c", 16, 0.5, True), ("adv", 16, 3.0, False)]
    changes = pd.DataFrame(rows, columns=["arm", "epochs", "change", "level"])
    changes = changes.assign(measure="clean", least=changes["change"] - 1, most=changes["change"] + 1)
    read = training_length.levelled_as_read(changes)
    assert read["levelled off from"].tolist() == ["8 epochs", "not yet"]
    assert read["mean change"].tolist() == ["+0.5", "+3.0"] and read["the seed that moves most"][1] == "+4.0"


def test_lengths_are_told_over_the_networks_of_an_arm():
    rows = [(seed, value, change) for seed, value, change in ((0, 0.5, -1.0), (1, 0.6, 2.0))]
    table = pd.DataFrame(rows, columns=["seed", "accuracy", "change"])
    table = table.assign(arm="adv", epochs=8, measure="attacked", n=100, low=0.4, high=0.7)
    told = "- `adv` (2 of 2 networks), 8 epochs: 50.0 to 60.0 % of 100 validation images under attack, -1.0 to +2.0 "
    assert robustness.length_conclusion(table) == told + "points over the last epochs"
    assert "(seed 0), 8 epochs: 50.0 % of" in robustness.length_conclusion(table[:1])
    assert robustness.length_as_read(table)["change"].tolist() == ["+0.5 ± 2.1"]


def test_a_refit_holds_no_validation_images_out_and_its_table_of_lengths_is_empty():
    empty = pd.DataFrame(columns=["arm", "seed", "epochs", "measure", "accuracy", "n", "low", "high", "change"])
    shown = robustness.length_as_read(empty)
    assert shown.empty and list(shown) == ["arm", "epochs", "measure", "percent", "change"]
    assert robustness.length_conclusion(empty).startswith("No validation images were held out")
