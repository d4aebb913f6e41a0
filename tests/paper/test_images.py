"""Images as a preset sees them: streams held in memory, labelled by ImageNet's classes, told apart by origin."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcont import datasets
from semcont.datasets.folders import IMAGENETTE
from semcont.paper import images, paths, transfer
from semcont.paper.execution import graph
from semcont.paper.presets import Data, load_preset
from semcont.paper.strict import SettingsError

SMOKE = load_preset("smoke")


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> Path:
    """Imagenette in little: for each class a photograph of ImageNet's validation set and one of its training set."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for wnid in IMAGENETTE:
            folder = tmp_path / "imagenette-224" / part / wnid
            folder.mkdir(parents=True)
            for name in (f"ILSVRC2012_val_{part}.JPEG", f"{wnid}_10.JPEG"):
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name, "JPEG")
    monkeypatch.setenv("SEMCONT_DATA", str(tmp_path))
    return tmp_path


def _preset(**data):
    return replace(SMOKE, data=Data("imagenette", size=16, **data))


def test_what_is_measured_is_held_and_what_is_trained_on_is_streamed(photographs, monkeypatch):
    held, streamed = images.split_of(_preset(), "test"), images.source_of(_preset(), "train")
    assert isinstance(held, datasets.ImageSet) and isinstance(streamed, datasets.Stream)
    assert held.images.shape == (20, 3, 16, 16) and not held.bundled
    images._decoded.cache_clear()
    monkeypatch.setattr(images, "_PIECE", 7)
    again = images.split_of(_preset(), "test")
    assert torch.equal(held.images, again.images) and torch.equal(held.labels, again.labels)


def test_another_folder_in_the_same_process_gives_its_own_images(photographs, tmp_path_factory, monkeypatch):
    first = images.split_of(_preset(), "test"), images.source_of(_preset(), "train")
    assert images.split_of(_preset(), "test") is first[0], "kept where nothing changed"
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(photographs / "imagenette-224", other / "imagenette-224")
    (moved,) = (other / "imagenette-224" / "val" / next(iter(IMAGENETTE))).glob("ILSVRC2012_val_*")
    moved.unlink()
    monkeypatch.setenv("SEMCONT_DATA", str(other))
    assert len(images.split_of(_preset(), "test")) == len(first[0]) - 1
    assert images.source_of(_preset(), "train").folder != first[1].folder


def test_the_mean_colour_takes_few_pictures_of_a_stream_and_all_of_a_set_in_memory(photographs, monkeypatch):
    whole = images.source_of(_preset(), "train").in_memory().images
    assert images.mean_colour(_preset()) == pytest.approx((whole.double().mean((0, 2, 3)) / 255).tolist(), abs=1e-12)
    images._mean_colour.cache_clear()
    monkeypatch.setattr(images, "COLOURED", 4)
    monkeypatch.setattr(images, "LARGEST", 0)  # all of them would be refused
    expected = (whole[:4].double().mean((0, 2, 3)) / 255).tolist()
    assert images.mean_colour(_preset()) == pytest.approx(expected, abs=1e-12)
    images._mean_colour.cache_clear()
    bundled = images.split_of(SMOKE, "train").images
    assert len(bundled) > images.COLOURED
    assert images.mean_colour(SMOKE) == tuple((bundled.double().mean((0, 2, 3)) / 255).tolist())


def test_more_than_memory_should_hold_is_refused_with_the_key_to_set(photographs, monkeypatch):
    monkeypatch.setattr(images, "LARGEST", 1000)
    with pytest.raises(paths.UserError, match=r"imagenette: the 20 pictures of test .* set data.test in the preset"):
        images.split_of(_preset(), "test")


def test_labels_become_imagenets_where_the_preset_says_so(photographs):
    preset = replace(SMOKE, model=replace(SMOKE.model, weights="imagenet"), training=replace(SMOKE.training, epochs=0))
    own = images.split_of(_preset(), "test")
    found = images.split_of(replace(preset, data=Data("imagenette", size=16, labels="imagenet")), "test")
    assert torch.equal(found.images, own.images) and len(found.classes) == 1000
    assert set(found.labels.tolist()) == {index for _, index in IMAGENETTE.values()}


def test_the_names_of_files_tell_where_photographs_are_from(photographs):
    told, source = images.origins(_preset()), images.source_of(_preset(), "test")
    assert sorted(set(told)) == ["ImageNet, training", "ImageNet, validation"] and told.count(told[0]) == 10
    assert [b"ILSVRC" in file for file in source.files] == [name == "ImageNet, validation" for name in told]
    assert images.origins(SMOKE) == []


def test_a_folder_with_other_classes_is_refused_in_a_line(photographs):
    (photographs / "imagenette-224" / "val" / "n03888257").rename(photographs / "imagenette-224" / "val" / "n09999999")
    with pytest.raises(datasets.DataError, match="lacks n03888257 and has n09999999") as raised:
        images.split_of(_preset(), "test")
    assert "\n" not in str(raised.value)


def test_a_target_without_a_size_is_trained_on_all_there_is_but_the_test_part():
    assert transfer.training_split("cifar10", None) == "full" and transfer.training_split("cifar10", 500) == "train"
    assert transfer.training_split("grey_digits", None) == "train"


def test_a_preset_runs_the_notebooks_that_it_names_and_no_other():
    preset = replace(SMOKE, name="few", notebooks=("01_discontinuity", "09_claims"))
    assert [path.stem for path in graph._notebooks(preset)] == ["01_discontinuity", "09_claims"]
    assert len(graph._notebooks(SMOKE)) == 9
    preset.check_notebook("01_discontinuity")
    with pytest.raises(SettingsError, match="05_robustness is not for preset few, whose data and network suit 01_"):
        preset.check_notebook("05_robustness")
    with pytest.raises(SettingsError, match="there is no '01_discontinuty'; did you mean '01_discontinuity'"):
        graph._notebooks(replace(SMOKE, notebooks=("01_discontinuty",)))


def test_section_2_may_have_a_network_of_its_own_in_the_plan():
    preset = load_preset("imagenette")
    jobs = [job for job in graph.training_jobs(preset, "01_discontinuity") if job.changes]
    assert [(job.arm, job.seed, dict(job.changes)) for job in jobs] == [("base", 0, preset.discontinuity.changes())]
    assert dict(jobs[0].changes)["model"] == "resnet50" and dict(jobs[0].changes)["epochs"] == 0
    assert not [job for job in graph.training_jobs(SMOKE, "01_discontinuity") if job.changes]
