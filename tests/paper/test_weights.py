"""Networks that others trained: read, named by their digest, judged by ImageNet's classes, refused in one line."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from semcont import datasets, models
from semcont.datasets.folders import IMAGENETTE
from semcont.paper import discontinuity, images, paths, runs, weights
from semcont.paper.presets import Model, Training, changed, load_preset
from semcont.paper.strict import SettingsError

SMOKE = load_preset("smoke")


def _file(folder: Path, name: str = "squeezenet1_1", classes: int = 1000, kind: str = ".safetensors") -> Path:
    """Weights of one of torchvision's networks, under its own names, as `imagenet` looks for them."""
    torch.manual_seed(3)
    state = torchvision.models.get_model(name, weights=None, num_classes=classes).state_dict()
    path = folder / "weights" / f"{name}-imagenet1k{kind}"
    path.parent.mkdir(exist_ok=True)
    save_file(state, path) if kind == ".safetensors" else torch.save(state, path)
    return path


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """An empty folder of data, an empty store, no cache of torch's downloads."""
    for name in ("data", "runs", "hub"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("SEMCONT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SEMCONT_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "data"


def _as_it_is(**model) -> object:
    """`smoke` with a network that nobody trains here."""
    network = Model(name="squeezenet1_1", **({"weights": "imagenet"} | model))
    return replace(SMOKE, model=network, training=replace(SMOKE.training, epochs=0), arms=("base",))


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18"])
def test_given_weights_give_torchvisions_logits(data, name, kind):
    _file(data, name, 7, kind)
    network = weights.pretrained(Model(name=name, stem="imagenet", weights="imagenet"))
    theirs = torchvision.models.get_model(name, weights=None, num_classes=7).eval()
    theirs.load_state_dict(models.read_weights(weights.locate(Model(name=name, weights="imagenet"))))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in models.IMAGENET_STATISTICS)
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), theirs((x - mean) / std), rtol=1e-4, atol=1e-4)
    assert not network.training


def test_weights_in_half_precision_become_a_network_in_single(data):
    path = _file(data, classes=7)
    save_file({name: value.half() for name, value in models.read_weights(path).items()}, path)
    network = weights.pretrained(Model(name="squeezenet1_1", weights="imagenet"))
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "resnet18", "weights": "w.pth"}, ("another architecture than resnet18", "lack conv1.weight and")),
        ({"name": "squeezenet1_0", "weights": "w.pth"}, ("squeezenet1_0", "lack features.5.squeeze.weight and")),
        (
            {"name": "resnet18", "weights": "r.pth", "stem": "cifar"},
            ("conv1.weight is (64, 3, 7, 7), not (64, 3, 3, 3)",),
        ),
        ({"name": "resnet18", "weights": "r.pth", "stem": "imagenet", "width": 32}, ("resnet18", "(width, stem)")),
        ({"name": "squeezenet1_1", "weights": "text.pth"}, ("text.pth", "cannot be read")),
        ({"name": "squeezenet1_1", "weights": "list.pth"}, ("list.pth", "state_dict")),
        ({"name": "squeezenet1_1", "weights": "half.safetensors"}, ("half.safetensors", "cannot be read")),
        ({"name": "squeezenet1_1", "weights": "gone.pth"}, ("there is no file", "SEMCONT_DATA")),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_a_line(data, model, said):
    path = _file(data, kind=".pth")
    path.rename(data / "w.pth")
    _file(data, "resnet18", kind=".pth").rename(data / "r.pth")
    (data / "text.pth").write_text("no weights", encoding="utf-8")
    torch.save([1, 2], data / "list.pth")
    whole = _file(data)
    (data / "half.safetensors").write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(paths.UserError) as raised:
        weights.pretrained(Model(**model))
    assert all(word in str(raised.value) for word in ("model.weights", *said)), raised.value
    assert "\n" not in str(raised.value)


def test_without_file_and_network_it_says_what_to_get(data, monkeypatch):
    def offline(url, path, **settings):
        assert settings["hash_prefix"] in url
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(paths.UserError, match=r"no route to host\): get https\S+, and put it at .*-imagenet1k.pth"):
        weights.locate(Model(name="resnet50", weights="imagenet"))
    with pytest.raises(paths.UserError, match="no ImageNet weights for 'resnet18-slim3'"):
        weights.locate(Model(name="resnet18-slim3", weights="imagenet"))


def test_a_bad_name_of_weights_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'imagenet'"):
        Model(name="resnet18", weights="imagnet")


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_of_no_epochs_is_the_network_as_it_is(data):
    _file(data, classes=10)
    run = runs.trained(_as_it_is(), "base", 0)
    x = run.images("test").float([0, 1])
    with torch.no_grad():
        expected = weights.pretrained(run.preset.model)(x)
        torch.testing.assert_close(run.model()(x), expected, rtol=1e-6, atol=1e-6)
    assert run.history.empty and runs.trained(_as_it_is(), "base", 0).key == run.key


def test_the_key_holds_the_weights_and_not_where_they_lie(data):
    path = _file(data, classes=10)
    key = runs.trained(_as_it_is(), "base", 0).key
    path.rename(data / "elsewhere.safetensors")
    assert runs.trained(_as_it_is(weights="elsewhere.safetensors"), "base", 0).key == key
    torch.manual_seed(4)
    changed_weights = {name: value + 1 for name, value in models.read_weights(data / "elsewhere.safetensors").items()}
    save_file(changed_weights, path)
    assert runs.trained(_as_it_is(), "base", 0).key != key


def test_training_starts_from_given_weights_under_a_fresh_head(data):
    _file(data, "resnet18")
    preset = replace(SMOKE, model=Model(name="resnet18", stem="imagenet", weights="imagenet"))
    network = weights.starting(preset, 10, 0)
    theirs = models.read_weights(weights.locate(preset.model))
    assert torch.equal(network.conv1.weight, theirs["conv1.weight"]) and network.fc.weight.shape == (10, 512)
    assert torch.equal(weights.starting(preset, 10, 0).fc.weight, network.fc.weight)
    assert torch.equal(weights.starting(preset, 1000, 0).fc.weight, theirs["fc.weight"])


def test_weights_of_another_class_count_are_refused_where_nothing_is_trained(data):
    _file(data)
    with pytest.raises(paths.UserError, match=r"1000 classes and photodigits 10: set data.labels to imagenet"):
        runs.trained(_as_it_is(), "base", 0)


def test_no_epochs_need_weights_and_imagenets_labels_need_no_epochs():
    with pytest.raises(ValueError, match="set model.weights"):
        replace(SMOKE, training=Training(epochs=0))
    with pytest.raises(SettingsError, match="training.epochs to 0"):
        changed(SMOKE, {"labels": "imagenet"})
    both = changed(SMOKE, {"labels": "imagenet", "weights": "imagenet", "epochs": 0})  # in any order
    assert both.data.labels == "imagenet" and both.training.epochs == 0


# --- ImageNet's classes -----------------------------------------------------------------------------------------------


def _photographs(n: int = 20) -> datasets.ImageSet:
    names = tuple(name for name, _ in IMAGENETTE.values())
    pixels = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8)
    return datasets.ImageSet("imagenette", pixels, torch.arange(n) % 10, names, bundled=False)


def test_imagenettes_classes_are_found_among_imagenets():
    own = _photographs()
    found = images.as_imagenet(own)
    places = torch.tensor([index for _, index in IMAGENETTE.values()])
    assert torch.equal(found.labels, places[own.labels]) and len(found.classes) == 1000 and not found.bundled
    assert [found.classes[int(label)] for label in found.labels[:10]] == list(own.classes)
    assert images.imagenet_indices(tuple(map(str, range(1000))), "imagenet") == list(range(1000))


def test_a_class_that_is_not_imagenets_is_named():
    with pytest.raises(paths.UserError, match="'seven' is not the name of one of ImageNet's classes"):
        images.imagenet_indices(("tench", "seven"), "folder")


# --- section 2 on such a network --------------------------------------------------------------------------------------


@pytest.fixture
def section2(data, monkeypatch):
    """The run that section 2 judges where the preset names a network of ImageNet's, on made-up photographs."""
    _file(data)
    monkeypatch.setattr(images, "_loaded", lambda name, split, options: _photographs())
    preset = replace(SMOKE, data=replace(SMOKE.data, name="imagenette", rho=None, train=None, val=None, test=None))
    preset = replace(preset, discontinuity=replace(preset.discontinuity, network="squeezenet1_1"))
    return runs.trained(preset, "base", 0, **preset.discontinuity.changes())


def test_section_2_judges_the_network_by_imagenets_classes(section2):
    table = runs.measured(section2, discontinuity.distances, per_class=2)
    assert set(table["label"]) == {index for _, index in IMAGENETTE.values()}
    assert len(table) == 20 * 16 and (table["others"] >= 1).all() and table["predicted"].max() < 1000


def test_the_network_is_told_apart_by_where_the_photographs_are_from():
    about = {"arm": "base", "seed": 0, "level": 1, "image": range(4), "group": range(4), "nearest": 1.0, "median": 2.0}
    table = pd.DataFrame(about | {"score": [0, 2, 2, 3], "predicted": [1, 1, 0, 0], "label": 1})
    table = table.assign(predicted_prime=table["predicted"])
    table = pd.concat([table.assign(perturbation=name) for name in ("hue", "contrast")])
    told = discontinuity.network(table, ["seen", "seen", "other", "other"]).set_index(["origin", "measure"])["value"]
    assert told["all", "accuracy"] == 0.5 and told["seen", "accuracy"] == 1 and told["other", "accuracy"] == 0
    assert told["seen", "beyond_nearest"] == 0.5 and told["other", "beyond_median"] == 0.5
    alone = discontinuity.network(table)
    assert set(alone["origin"]) == {"all"} and alone["n"].tolist() == [4, 8, 8, 8]
