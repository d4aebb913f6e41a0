"""Section 4.7's doubling: which networks it trains, and what a change of their accuracy comes to."""

from dataclasses import replace

import pandas as pd
import pytest

from semcont.paper import colour_length
from semcont.paper.execution import graph
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained
from semcont.paper.verdicts.turning import GROUNDS, HUES, LABELS

SMOKE = load_preset("smoke")


def with_seeds(count: int, **fairness):
    return replace(SMOKE, fairness=replace(SMOKE.fairness, doubled_seeds=count, **fairness))


def rows(**accuracies: tuple[list[float], list[float]]) -> pd.DataFrame:
    """For each arm its accuracies by seed, after 10 epochs and after 20."""
    return pd.DataFrame(
        {"data": GROUNDS, "variant": "", "arm": arm, "seed": seed, "epochs": epochs, "accuracy": value}
        for arm, both in accuracies.items()
        for epochs, values in zip((10, 20), both, strict=True)
        for seed, value in enumerate(values)
    )


def test_each_set_is_trained_at_its_length_and_at_twice_that():
    found = colour_length.networks(with_seeds(2, epochs=3, biased_epochs=5, hues=(0,)))
    lengths = {(data, arm, changes["epochs"]) for data, _, arm, changes in found}
    wanted = {(d, a, k * n) for d, n in ((GROUNDS, 3), (LABELS, 5)) for a in ("base", "c") for k in (1, 2)}
    assert lengths == wanted | {(HUES, arm, k * 3) for arm in ("c", "aug") for k in (1, 2)}
    assert all(changes["use_hue"] is False for data, _, _, changes in found if data == HUES)
    assert len(colour_length.training_jobs(with_seeds(2))) == 2 * len(colour_length.networks(with_seeds(2)))
    assert {data for data, *_ in colour_length.networks(with_seeds(1, biased=None, hues=()))} == {GROUNDS}
    assert colour_length.networks(with_seeds(0)) == []


def test_the_graph_trains_them_for_the_notebook_that_reads_them():
    fewer, more = (len(graph.training_jobs(with_seeds(count), "08_fairness")) for count in (0, 1))
    assert more == fewer + 8  # base and c on both sets, c and aug at two hues: for longer; the others are there anyway
    assert len(graph.training_jobs(with_seeds(1), "05_robustness")) == len(graph.training_jobs(SMOKE, "05_robustness"))


def test_the_criterion_takes_the_mean_over_seeds_and_either_direction():
    table = rows(base=([0.9, 0.8], [0.93, 0.79]), c=([0.8, 0.8], [0.825, 0.825]), aug=([0.8, 0.8], [0.77, 0.77]))
    found = colour_length.levelled(table, 2.0).set_index("arm")
    assert found["change"].tolist() == pytest.approx([1.0, 2.5, -3.0])
    assert found["one_seed"].tolist() == pytest.approx([3.0, 2.5, -3.0])
    assert found["levelled"].tolist() == [True, False, False]
    assert found["epochs"].eq(10).all() and found["seeds"].eq(2).all()
    said = colour_length.conclusion(found.reset_index(), 2.0)
    assert "not levelled off**: `c` (+2.5 points), `aug` (-3.0 points)" in said
    assert "3.0 points at most, and from 2 on it counts; a single seed's moves by up to 3.0" in said
    assert "**levelled off**, all 1" in colour_length.conclusion(found.reset_index()[:1], 2.0)
    assert "- The same, P's hue" in colour_length.conclusion(found.reset_index().assign(data=HUES), 2.0)
    assert "doubled_seeds" in colour_length.conclusion(colour_length.levelled(pd.DataFrame(), 2.0), 2.0)


def test_accuracy_is_that_on_images_like_the_trainings():
    """Of the validation images of the coloured grounds nearly all are red, of the test images nearly all blue."""
    data, _, arm, changes = colour_length.networks(SMOKE)[0]
    run = trained(SMOKE, arm, 0, **changes)
    table = measured(run, colour_length.on_validation)
    assert (data, table["n"].tolist()) == (GROUNDS, [len(run.images("val"))])
    assert run.images("val").context.float().mean() < 0.1 < 0.9 < run.images("test").context.float().mean()
