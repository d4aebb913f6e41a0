"""Images as a preset's network sees them: from SEMCONT_DATA where they are files, labelled as it names classes.

A network that was trained on ImageNet answers with one of a thousand classes. To judge it on a folder that holds some
of them, the folder's labels are turned into ImageNet's.
"""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from .. import datasets
from ..datasets import ImageSet, Stream
from . import paths
from .presets import Preset

LARGEST = 16 * 2**30
"""Bytes of decoded pictures that are held in memory at most: ImageNet's validation set takes half of it."""

COLOURED = 10_000
"""Pictures of a stream whose mean is taken for the data's mean colour: as many of each class, more than Imagenette has.
"""

_PIECE = 16_384  # pictures of 224 x 224 that a stream decodes at once


def load_data(name: str, split: str, **options) -> ImageSet | Stream:
    """`semcont.load`, with the folder of the study's data where the set is read from files."""
    return datasets.load(name, split, **(_root(name) | options))


def _root(name: str) -> dict[str, Path]:
    """Where the files of a data set lie, for `semcont.load`; nothing for a set that is made in memory."""
    return {"root": paths.data()} if "root" in datasets.options(name) else {}


def split_of(preset: Preset, split: str, **options) -> ImageSet:
    """A split of the preset's data set in memory, with the preset's sizes and options unless others are given."""
    found = source_of(preset, split, **options)
    if not isinstance(found, ImageSet):
        found = _decoded(preset.data.name, split, _settings(preset, split, options))
    return as_imagenet(found) if preset.data.labels == "imagenet" else found


def source_of(preset: Preset, split: str, **options) -> ImageSet | Stream:
    """The split as it is trained on, in memory or streamed; labelled as the data set labels it."""
    return _loaded(preset.data.name, split, _settings(preset, split, options))


def _settings(preset: Preset, split: str, options: dict) -> tuple:
    data = preset.data
    sizes = (data.train, data.val)
    full = None if None in sizes else sum(sizes)  # what a refit is trained on
    settings = {"seed": data.seed, "n": full if split == "full" else getattr(data, split, None)}
    if data.rho is not None:
        settings["rho"] = data.rho
    if data.variant != "standard":
        settings["variant"] = data.variant
    streamed = {"size": data.size, "corrupt": data.corrupt} if "size" in datasets.options(data.name) else {}
    streamed |= {"workers": preset.training.workers} if "workers" in datasets.options(data.name) else {}
    settings |= {name: value for name, value in streamed.items() if value is not None}
    # With the folder, because what is kept in memory is kept under these settings, and SEMCONT_DATA may change.
    return tuple(sorted((_root(data.name) | settings | options).items()))


@lru_cache(maxsize=16)
def _loaded(name: str, split: str, options: tuple) -> ImageSet | Stream:
    return load_data(name, split, **dict(options))


@lru_cache(maxsize=2)
def _decoded(name: str, split: str, options: tuple) -> ImageSet:
    """A stream's images as bytes, in pieces that it agrees to hold. Raises `UserError` for more than `LARGEST`."""
    stream = _loaded(name, split, options)
    if stream.decoded_bytes > LARGEST:
        raise paths.UserError(
            f"{name}: the {len(stream):,} pictures of {split} take {stream.decoded_bytes / 2**30:.0f} GiB, and at most "
            f"{LARGEST / 2**30:.0f} are held in memory to be measured: set data.{split} in the preset"
        )
    pieces = [stream.select(rows).in_memory() for rows in torch.arange(len(stream)).split(_PIECE)]
    if len(pieces) == 1:
        return pieces[0]
    joined = {name: torch.cat([getattr(piece, name) for piece in pieces]) for name in ("images", "labels")}
    return replace(pieces[0], **joined)


def mean_colour(preset: Preset) -> tuple[float, ...]:
    """The mean of each channel over the preset's training images, in [0, 1]; of a stream, over its first `COLOURED`."""
    return _mean_colour(preset.data.name, _settings(preset, "train", {}))


@lru_cache(maxsize=8)
def _mean_colour(name: str, options: tuple) -> tuple[float, ...]:
    data = _loaded(name, "train", options)
    if not isinstance(data, ImageSet):
        data = data.select(slice(COLOURED)).in_memory()
    return tuple((data.images.double().mean((0, 2, 3)) / 255).tolist())


def origins(preset: Preset) -> list[str]:
    """For each test image of a folder, the part of ImageNet that its file's name says it is from; else nothing.

    Imagenette's own split is not ImageNet's: its photographs for testing are for the most part ones that a network of
    ImageNet was trained on.
    """
    source = source_of(preset, "test")
    if isinstance(source, ImageSet):
        return []
    names = [os.fsdecode(file).rpartition("/")[2] for file in source.files]
    parts = {"ILSVRC2012_val_": "ImageNet, validation", "n": "ImageNet, training"}
    return [next((part for start, part in parts.items() if name.startswith(start)), "unknown") for name in names]


# --- ImageNet's classes -----------------------------------------------------------------------------------------------


def imagenet_classes() -> tuple[str, ...]:
    """The thousand names, in the order of the logits of torchvision's networks."""
    from torchvision.models import SqueezeNet1_1_Weights

    return tuple(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])


def imagenet_indices(classes: tuple[str, ...], data: str) -> list[int]:
    """Where each class of a data set stands among ImageNet's, by its name.

    A thousand classes are ImageNet itself, in its order. Raises `UserError` for a name that is not there.
    """
    names = imagenet_classes()
    if len(classes) == len(names):
        return list(range(len(names)))
    for name in classes:
        if name not in names:
            raise paths.UserError(
                f"{data}: {name!r} is not the name of one of ImageNet's classes, so a network of these cannot be "
                "judged on it: set data.labels to own"
            )
    return [names.index(name) for name in classes]


def as_imagenet(images: ImageSet) -> ImageSet:
    """The same images, labelled by ImageNet's thousand classes."""
    indices = torch.tensor(imagenet_indices(images.classes, images.name), device=images.labels.device)
    return replace(images, labels=indices[images.labels], classes=imagenet_classes())
