import numpy as np
import pytest
import torch

from semcont.datasets import ImageSet, load, mosaics


@pytest.fixture(scope="module")
def source() -> ImageSet:
    return load("photodigits", "test", n=60)


def test_each_quarter_is_an_image_of_a_class_of_its_own(source):
    found = mosaics.make(source, n=40, seed=1)
    sources, quarters = mosaics.arrange(source.labels.numpy(), n=40, seed=1)
    assert found.images.shape == (40, 3, 64, 64) and np.bincount(quarters).tolist() == [10, 10, 10, 10]
    for k in range(40):
        assert len({int(source.labels[i]) for i in sources[k]}) == 4
        tiles = [found.images[k, :, r : r + 32, c : c + 32] for r in (0, 32) for c in (0, 32)]
        assert all(torch.equal(tile, source.images[i]) for tile, i in zip(tiles, sources[k], strict=True))
        target = int(sources[k, quarters[k]])
        assert found.labels[k] == source.labels[target] and found.groups[k] == source.groups[target]
    assert found.bundled and found.classes == source.classes


def test_the_mask_is_the_targets_quarter(source):
    found = mosaics.make(source, n=8, seed=0)
    for k, quarter in enumerate(found.context.tolist()):
        top, left = 32 * (quarter // 2), 32 * (quarter % 2)
        assert found.masks[k].sum() == 32 * 32 and found.masks[k, top : top + 32, left : left + 32].all()


def test_every_image_is_a_target_before_one_is_again(source):
    sources, quarters = mosaics.arrange(source.labels.numpy(), n=60, seed=0)
    assert sorted(sources[np.arange(60), quarters]) == list(range(60))


def test_a_seed_is_a_set_of_mosaics(source):
    one, same, other = (mosaics.make(source, n=12, seed=seed) for seed in (3, 3, 4))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_too_few_classes_or_images(source):
    three = source.select(source.labels < 3)
    with pytest.raises(ValueError, match="four classes, got 3"):
        mosaics.make(three, n=4)
    with pytest.raises(ValueError, match="at least 1"):
        mosaics.make(source, n=0)


class Streamed:
    """As much of a stream as `gathered` asks."""

    def __init__(self, data: ImageSet) -> None:
        self.data, self.labels = data, data.labels
        self.name, self.classes, self.bundled = "streamed", data.classes, False

    def batches(self, groups, *, seed=None):
        for group in groups:
            yield self.data.float(group), self.labels[group]


def test_images_of_a_stream_are_gathered_as_bytes(source):
    index = [5, 3, 59, *range(70 - 5, 5, -1)][:3]
    found = mosaics.gathered(Streamed(source), index)
    assert torch.equal(found.images, source.images[index]) and found.labels.tolist() == source.labels[index].tolist()
    assert not found.bundled and torch.equal(mosaics.gathered(source, index).images, found.images)
