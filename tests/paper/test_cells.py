"""What several sections share of their tables: cells for reading, and arrays out of tensors."""

import pandas as pd
import torch

from semcont import datasets
from semcont.paper import arrays, cells


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
