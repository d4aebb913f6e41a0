"""What a network starts from: fresh weights, another run's, or those of a network that others trained.

`model.weights` is `none`, `imagenet` (torchvision's weights of that network, from SEMCONT_DATA or downloaded), or a
file with torchvision's own parameter names; a relative path is one under SEMCONT_DATA. A run is named by their digest.
"""

from functools import lru_cache
from pathlib import Path

from torch import Generator, nn

from .. import models, training
from . import paths, store
from .images import split_of
from .presets import Model, Preset

_KINDS = (".safetensors", ".pth")


def given(model: Model) -> bool:
    """Whether a preset's network starts from somebody's weights."""
    return model.weights != "none"


def pretrained(model: Model) -> nn.Module:
    """The network with its given weights and as many classes as they have.

    Raises `UserError` in one line where the weights are not there or are another architecture's.
    """
    path = locate(model)
    try:
        return models.pretrained(
            model.name, models.read_weights(path), width=model.width, stem=model.stem, norm=model.norm
        )
    except ValueError as error:
        raise paths.UserError(f"model.weights: {path.name}: {error}; correct model.name or model.weights") from None


def network_of(preset: Preset, classes: int, generator: Generator | None) -> nn.Module:
    """The preset's network with fresh weights, and ImageNet's normaliser where it is to have weights from there."""
    m = preset.model
    settings = {"width": m.width, "stem": m.stem, "norm": m.norm}
    if given(m):
        settings["statistics"] = models.IMAGENET_STATISTICS
    return models.build(m.name, classes=classes, generator=generator, **settings)


def starting(preset: Preset, classes: int, seed: int, start=None) -> nn.Module:
    """What training begins with: the network of the run `start`, or the given weights, or fresh ones.

    The last layer is fresh where the classes differ in number, or the data are others than the start's.
    """
    generator = training.generator_for(seed, "weights")
    if start is None and not given(preset.model):
        return network_of(preset, classes, generator)
    network = pretrained(preset.model) if start is None else start.model("cpu")
    known = models.head(network).weight.shape[0] if start is None else len(start.record["classes"])
    if known != classes or (start is not None and start.preset.data.name != preset.data.name):
        models.replace_head(network, classes, generator)
    return network


def taken_over(preset: Preset, start=None) -> tuple[nn.Module, list[str]]:
    """The network that no epoch changes, and its classes. Raises `UserError` where the data have other classes."""
    if start is not None:
        return start.model("cpu"), list(start.record["classes"])
    network = pretrained(preset.model)
    classes, own = split_of(preset, "test").classes, models.head(network).weight.shape[0]
    if len(classes) != own:
        raise paths.UserError(
            f"model.weights: {preset.model.weights} has {own} classes and {preset.data.name} {len(classes)}: set "
            "data.labels to imagenet for a network of ImageNet's classes, or training.epochs to train a new last layer"
        )
    return network, list(classes)


def digest(model: Model) -> str:
    """SHA-256 of the file: the same weights give the same runs, wherever the file lies."""
    path = locate(model)
    return _digest(path, path.stat().st_size, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _digest(path: Path, size: int, changed: int) -> str:
    return store.sha256(path)


def locate(model: Model) -> Path:
    """The file of a preset's weights; torchvision's are downloaded where they are not there. Raises `UserError`."""
    if model.weights != "imagenet":
        path = paths.data() / Path(model.weights).expanduser()
        if path.is_file():
            return path
        raise paths.UserError(
            f"model.weights: there is no file {path}: put it there, or set model.weights (a relative path is one under "
            f"SEMCONT_DATA, now {paths.data()})"
        )
    for kind in _KINDS:
        path = paths.data() / "weights" / f"{model.name}-imagenet1k{kind}"
        if path.is_file():
            return path
    return _downloaded(model.name)


def _downloaded(name: str) -> Path:
    """torchvision's first ImageNet weights of a network, in torch's own cache, checked by the hash in their name."""
    import torch
    import torchvision

    try:
        url = torchvision.models.get_model_weights(name).IMAGENET1K_V1.url
    except (ValueError, AttributeError):
        raise paths.UserError(
            f"model.weights: torchvision has no ImageNet weights for {name!r}: set model.weights to a file"
        ) from None
    file = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            expected = file.removesuffix(".pth").rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(path), hash_prefix=expected, progress=False)
        except (OSError, RuntimeError) as error:  # no network, no space; another hash
            wanted = paths.data() / "weights" / f"{name}-imagenet1k.pth"
            raise paths.UserError(
                f"model.weights: {name}'s ImageNet weights are not at hand and could not be downloaded ({error}): get "
                f"{url}, and put it at {wanted}"
            ) from None
    return path
