"""Presets on data in files: what `runs` hands to training and to evaluation."""

import os
import re
from dataclasses import replace

import published
import pytest

from semcont.datasets import DataError, ImageSet
from semcont.paper import cli, paths, runs, transfer
from semcont.paper.presets import Data, load_preset
from semcont.paper.strict import SettingsError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_DATA", str(tmp_path))
    return tmp_path


def preset(**data):
    return replace(load_preset("smoke"), data=Data(**data))


def test_a_streamed_set_is_in_memory_for_evaluation(root):
    published.photographs(root / "imagenette2-160", each=3)
    small = preset(name="imagenette", size=16, train=20, seed=101)  # a seed of its own: splits are kept for a process
    test = runs.split_of(small, "test")
    assert isinstance(test, ImageSet) and test.images.shape == (30, 3, 16, 16) and not test.bundled
    assert len(runs.split_of(small, "train")) == 20


def test_training_goes_on_without_a_corrupt_picture_and_the_record_names_it(root, tmp_path, monkeypatch):
    """Even where it is the first picture of the split, at which training looks before it begins."""
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "store"))
    published.photographs(root / "imagenette2-160", each=12)
    small = preset(name="imagenette", size=16, corrupt="skip", seed=104)
    first = os.fsdecode(runs.source_of(small, "train").files[0])
    (root / "imagenette2-160" / "train" / first).write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="is left out, 1 so far"):
        run = runs.trained(replace(small, training=replace(small.training, monitor=0)), "base", 0)
    assert set(run.record["left_out"]) == {first} and "cannot identify" in run.record["left_out"][first]


def test_the_keys_of_streams_are_in_a_runs_name_only_where_they_are_set(root):
    plain = runs.plan(preset(name="cifar10"), "base", 0)["data"]
    assert not {"size", "corrupt"} & set(plain)
    assert runs.plan(preset(name="imagenette", size=64, corrupt="skip"), "base", 0)["data"]["size"] == 64
    for wrong in ({"size": 0}, {"size": 64, "train": 0}):
        with pytest.raises(ValueError, match="must lie in"):
            Data(name="imagenette", **wrong)


def test_sets_in_memory_take_no_keys_of_streams(root, monkeypatch):
    """A network of streamed pictures may be tuned on small ones: the change of the data leaves the size behind."""
    published.cifar(root, monkeypatch, "cifar10", n=200, tests=50)
    assert len(runs.split_of(preset(name="cifar10", size=64, train=100, seed=102), "train")) == 100
    (part,) = transfer.parts("cifar10", train=50, test=20, folds=2, repeats=1, seed=0)
    assert (len(part.train), len(part.test)) == (50, 20)


def test_without_the_data_training_says_what_to_do(root):
    with pytest.raises(DataError, match="`semcont data prepare cifar100` gets it"):
        runs.trained(preset(name="cifar100", seed=103), "base", 0)


def test_the_command_says_so_in_one_line(root, tmp_path, monkeypatch, capsys):
    text = paths.resource("presets/smoke.yaml").read_text()
    text = re.sub(r"\n  rho:.*", "", text.replace("name: photodigits", "name: svhn", 1))
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["semcont", "train", "--arm", "base", "--preset", str(tmp_path / "mine.yaml")])
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the command sets the threads of libraries
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr().err
    assert exit.value.code == 1 and said.startswith("semcont: svhn: ") and said.count("\n") == 1


def test_an_unknown_way_with_corrupt_files_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    text = paths.resource("presets/smoke.yaml").read_text()
    path.write_text(text.replace("data:\n", "data:\n  corrupt: skp\n", 1))
    with pytest.raises(
        SettingsError, match="data.corrupt must be one of 'fatal', 'skip', not 'skp' .str.; did you mean"
    ):
        load_preset(path)
