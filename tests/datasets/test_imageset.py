import dataclasses

import pytest
import torch

from semcont.datasets import ImageSet


def example(**changes) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    fields = {
        "name": "example",
        "images": torch.randint(0, 256, (6, 3, 4, 5), dtype=torch.uint8, generator=generator),
        "labels": torch.tensor([0, 1, 2, 0, 1, 2]),
        "classes": ("a", "b", "c"),
        "masks": torch.rand(6, 4, 5, generator=generator) > 0.5,
        "groups": torch.arange(6),
        "context": torch.arange(6) % 2,
    }
    return ImageSet(**(fields | changes))


def test_float_is_bytes_over_255():
    images = example()
    assert images.float().dtype == torch.float32
    assert torch.equal(images.float(), images.images.double().div(255).float())
    assert torch.equal(images.float([4, 1]), images.float()[[4, 1]])
    assert torch.equal(images.float(slice(2, 4)), images.float()[2:4])


@pytest.mark.parametrize(
    "index",
    [slice(1, 5, 2), [1, 3], range(1, 4, 2), torch.tensor([1, 3]), torch.tensor([0, 1, 0, 1, 0, 0]).bool()],
    ids=["slice", "list", "range", "positions", "booleans"],
)
def test_select_takes_every_field(index):
    chosen = example().select(index)
    assert chosen.groups.tolist() == [1, 3] and chosen.labels.tolist() == [1, 0] and chosen.context.tolist() == [1, 1]
    assert torch.equal(chosen.images, example().images[[1, 3]]) and torch.equal(chosen.masks, example().masks[[1, 3]])
    assert chosen.classes == ("a", "b", "c")


def test_select_nothing():
    assert len(example().select([])) == 0
    assert len(example().select(slice(0, 0))) == 0


def test_select_leaves_unknown_fields_unknown():
    assert example(masks=None, groups=None, context=None).select([0]).masks is None


def test_to_moves_everything():
    empty = example().select([]).to("meta")  # the one other device that every machine has; it holds no values
    tensors = (empty.images, empty.labels, empty.masks, empty.groups, empty.context)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert example().to("cpu").fingerprint == example().fingerprint


def test_fingerprint_tells_images_labels_classes_and_shape():
    known = example()
    pixel = known.images.clone()
    pixel[3, 1, 2, 2] ^= 1
    changed = [
        example(images=pixel),
        example(labels=torch.tensor([0, 1, 2, 0, 1, 1])),
        example(classes=("a", "b", "d")),
        example(images=known.images.reshape(6, 3, 5, 4), masks=None),
        known.select([1, 0, 2, 3, 4, 5]),
    ]
    assert len({known.fingerprint, *(other.fingerprint for other in changed)}) == 6
    assert example(masks=None, groups=None, context=None, name="other").fingerprint == known.fingerprint
    assert known.fingerprint is known.fingerprint  # computed once


def test_fingerprint_does_not_depend_on_memory_layout():
    images = example().images.contiguous(memory_format=torch.channels_last)
    assert example(images=images).fingerprint == example().fingerprint


def test_frozen_and_compared_by_identity():
    images = example()
    with pytest.raises(dataclasses.FrozenInstanceError):
        images.name = "other"
    assert images != example() and len({images, images}) == 1


def test_repr_is_one_short_line():
    assert repr(example(groups=None)) == "ImageSet(example, 6 images 3x4x5, 3 classes, masks, context)"


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(6, 3, 4, 5)}, r"images must be uint8 \(n, 3, h, w\), got float32 \(6, 3, 4, 5\)"),
        ({"images": torch.zeros(6, 1, 4, 5, dtype=torch.uint8)}, r"got uint8 \(6, 1, 4, 5\)"),
        ({"images": torch.zeros(3, 4, 5, dtype=torch.uint8)}, r"got uint8 \(3, 4, 5\)"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, r"labels must be int64 \(6,\), got int64 \(5,\)"),
        ({"labels": torch.zeros(6, dtype=torch.int32)}, r"labels must be int64 \(6,\), got int32"),
        ({"labels": torch.tensor([0, 1, 2, 0, 1, 3])}, r"labels must lie in 0\.\.2, got 0\.\.3"),
        ({"labels": torch.tensor([0, 1, 2, 0, 1, -1])}, r"labels must lie in 0\.\.2, got -1\.\.2"),
        ({"masks": torch.zeros(6, 5, 4, dtype=torch.bool)}, r"masks must be bool \(6, 4, 5\), got bool \(6, 5, 4\)"),
        ({"masks": torch.zeros(6, 4, 5)}, r"masks must be bool"),
        ({"groups": torch.zeros(7, dtype=torch.int64)}, r"groups must be int64 \(6,\)"),
        ({"context": torch.zeros(6)}, r"context must be int64 \(6,\), got float32"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        example(**changes)
