"""Published networks: what was trained is taken from data/checkpoints, checked, and never trained again."""

import pytest
import torch

from semcont.paper import paths, published, runs
from semcont.paper.measurements import measurement
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained
from semcont.paper.store import BrokenStore

SMOKE = load_preset("smoke")


@measurement(version=1)
def one(run):
    import pandas as pd

    return pd.DataFrame({"value": [1.0]})


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty store and an empty shelf of published networks; moving to another store is one call."""
    monkeypatch.setenv("SEMCONT_CHECKPOINTS", str(tmp_path / "shelf"))

    def store(name: str) -> None:
        monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / name))

    store("first")
    return store


def test_a_published_run_comes_with_its_measurements_and_is_not_trained(shelf, monkeypatch):
    first = trained(SMOKE, "base", 0)
    measured(first, one)
    assert published.publish(SMOKE) == [first.folder.name]
    shelf("second")
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(one, "function", lambda run: pytest.fail("measured again"))
    again = trained(SMOKE, "base", 0)
    assert again.folder != first.folder and again.record == first.record
    assert (again.history == first.history).all().all()
    assert measured(again, one)["value"].tolist() == [1.0]


def test_a_published_file_that_was_altered_is_refused(shelf):
    name = trained(SMOKE, "base", 0).folder.name
    published.publish(SMOKE)
    weights = paths.checkpoints() / "smoke" / name / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    shelf("second")
    with pytest.raises(BrokenStore, match="weights.safetensors is truncated or was altered"):
        trained(SMOKE, "base", 0)


def test_a_run_that_is_not_finished_or_too_large_is_not_published(shelf, monkeypatch):
    assert published.publish(SMOKE) == []
    trained(SMOKE, "base", 0)
    monkeypatch.setattr(published, "LARGEST", 10)
    with pytest.raises(paths.UserError, match=r"cannot be published: the most is 10 .*float16"):
        published.publish(SMOKE)


def test_what_is_measured_is_what_was_stored(shelf):
    half, full = (trained(SMOKE, "base", 0, stored=kind) for kind in ("float16", "float32"))
    assert half.key != full.key
    for name, value in full.model().state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(half.model().state_dict()[name], expected)
