"""Folders of JPEGs, streamed: small ones that are made here."""

import dataclasses
import itertools
import os

import numpy as np
import published
import pytest
import torch
from PIL import Image

from semcont.datasets import DataError, ImageSet, Stream, decoding, folders, load, stream


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    published.photographs(root / "imagenette2-160")
    return root


@pytest.fixture
def own(tmp_path):
    """A root whose files a test may spoil."""
    published.photographs(tmp_path / "imagenette2-160", each=3)
    return tmp_path


def images_of(data: Stream, groups=None, **settings) -> tuple[torch.Tensor, torch.Tensor]:
    groups = torch.arange(len(data)).split(16) if groups is None else groups
    x, y = zip(*data.batches(groups, **settings), strict=True)
    return torch.cat(x), torch.cat(y)


def test_splits_and_classes(root):
    data = {split: load("imagenette", split, root=root, size=16) for split in ("train", "val", "test", "full")}
    assert [len(part) for part in data.values()] == [110, 10, 120, 120]
    assert data["test"].folder.name == "val" and data["train"].folder.name == "train"
    held, kept = set(data["val"].files), set(data["train"].files)
    assert not held & kept and list(data["full"].files) == [*data["train"].files, *data["val"].files]
    assert data["train"].classes[0] == "tench" and not data["train"].bundled
    for part in data.values():
        wnids = sorted(folders.IMAGENETTE)
        assert [wnids[label] for label in part.labels] == [os.fsdecode(file).split("/")[0] for file in part.files]
        assert sorted(part.labels[:10].tolist()) == list(range(10))  # in turn: any first images are a sample


def test_batches_come_in_the_order_asked_for(root):
    data = load("imagenette", "test", root=root, size=16, workers=0)
    groups = [torch.tensor([5, 3, 3]), torch.tensor([0]), torch.arange(7, 20)]
    batches = list(data.batches(groups))
    for (x, y), rows in zip(batches, groups, strict=True):
        assert x.dtype == torch.float32 and x.shape == (len(rows), 3, 16, 16) and 0 <= x.min() <= x.max() <= 1
        assert torch.equal(x, data.float(rows)) and torch.equal(y, data.labels[rows])


@pytest.mark.parametrize("seed", [None, 3])
def test_workers_change_nothing(root, seed):
    state = torch.get_rng_state()
    alone, shared = (load("imagenette", "full", root=root, size=16, workers=workers) for workers in (0, 2))
    groups = torch.randperm(120, generator=torch.Generator().manual_seed(0)).split(50)
    for one, two in zip(images_of(alone, groups, seed=seed), images_of(shared, groups, seed=seed), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_crops_as_torchvision_does(tmp_path):
    from torchvision.transforms import v2

    reference = v2.Compose([v2.Resize(36), v2.CenterCrop(32), v2.PILToTensor()])
    for k, side in enumerate([(50, 40), (33, 71), (36, 36), (200, 37)]):
        picture = published.picture(np.random.default_rng(k), side)
        picture.save(tmp_path / "a.png")
        assert np.array_equal(decoding.decode(tmp_path / "a.png", 32, None), reference(picture).numpy())
    picture = published.picture(np.random.default_rng(9), (32, 32))
    picture.save(tmp_path / "a.png")
    assert np.array_equal(decoding.decode(tmp_path / "a.png", 32, None), np.asarray(picture).transpose(2, 0, 1))


def test_random_crops_are_keyed_by_seed_and_file(root):
    data = load("imagenette", "test", root=root, size=16, workers=0)
    first, _ = images_of(data, seed=1)
    again, _ = images_of(data.select(slice(40, 60)), seed=1)  # the same files in other batches, at other positions
    other, _ = images_of(data, seed=2)
    assert torch.equal(first[40:60], again)
    assert sum(torch.equal(a, b) for a, b in zip(first, other, strict=True)) == 0


def test_random_crops_cover_what_the_recipe_says():
    rng = np.random.default_rng(0)
    boxes = np.array([decoding.crop(rng, 400, 300) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, ratio = width * height / (400 * 300), width / height
    assert 0.079 < share.min() < 0.1 and share.max() > 0.9 and 0.74 < ratio.min() < ratio.max() < 1.35
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 400 and boxes[:, 3].max() <= 300
    assert decoding.crop(rng, 4000, 3) == (1998, 0, 2002, 3)  # no such part fits: the widest allowed, in the middle


def test_half_of_the_training_pictures_are_mirrored(tmp_path):
    wide = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 1, 3))  # brighter to the right
    Image.fromarray(wide).save(tmp_path / "a.png")
    crops = [decoding.decode(tmp_path / "a.png", 8, np.random.default_rng(k))[0, 0] for k in range(200)]
    assert 70 < sum(int(crop[0]) > int(crop[-1]) for crop in crops) < 130


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "1", "LA"])
def test_pictures_of_any_kind_become_red_green_and_blue(mode, tmp_path):
    picture = published.picture(np.random.default_rng(0), (32, 32)).convert(mode)
    path = tmp_path / ("a.jpg" if mode in ("L", "CMYK") else "a.png")
    picture.save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    got = decoding.decode(path, 32, None)
    wanted = np.asarray(picture.convert("RGB")).transpose(2, 0, 1).astype(int)
    assert got.shape == (3, 32, 32) and np.abs(got - wanted).mean() < 4
    assert decoding.decode(path, 16, np.random.default_rng(0)).shape == (3, 16, 16)


# --- files that cannot be decoded -------------------------------------------------------------------------------------


def spoil(data: Stream, row: int, content: bytes | None = None) -> str:
    path = data.folder / os.fsdecode(data.files[row])
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    return path.name


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("content", [None, b"no picture", b""])
def test_a_corrupt_file_stops_an_epoch_and_is_named(own, workers, content):
    data = load("imagenette", "full", root=own, size=16, workers=workers)
    bad = spoil(data, 20, content)
    batches = data.batches([torch.arange(10), *torch.arange(10, 30).split(10)] * 3, seed=0)
    assert len(next(batches)[0]) == 10  # what came before is delivered
    with pytest.raises(DataError, match=rf"{bad} cannot be decoded \(.+\); replace it, or say corrupt: skip"):
        list(batches)


def test_corrupt_files_are_skipped_named_and_counted(own):
    data = load("imagenette", "full", root=own, size=16, corrupt="skip", workers=0)
    bad = {spoil(data, 3), spoil(data, 12, b"no picture")}
    with pytest.warns(UserWarning, match="is left out, [12] so far") as warned:
        batches = list(data.batches(torch.arange(30).split(10), seed=0))
    assert [len(x) for x, _ in batches] == [9, 9, 10] and len(warned) == 2
    assert torch.equal(torch.cat([y for _, y in batches]), data.labels[[k for k in range(30) if k not in (3, 12)]])
    assert {os.path.basename(path) for path in data.skipped} == bad
    assert len(data.in_memory()) == 28  # and no second warning
    with pytest.raises(DataError, match="none of the pictures of a batch can be decoded"):
        list(data.batches([torch.tensor([3, 12])]))
    assert len(data.select([3, 12]).in_memory()) == 0 and len(data.select([3, 12, 0]).float()) == 1


def test_a_file_that_says_it_is_enormous_is_corrupt(own):
    """Sixty thousand pixels a side, by its header: a bomb, or damage. It is named like any other."""
    from PIL import Image

    data = load("imagenette", "full", root=own, size=16, workers=0)
    path = own / "imagenette2-160" / "train" / os.fsdecode(data.files[5])
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")  # SOF0: length 2, precision 1, height 2, width 2
    content[frame + 5 : frame + 9] = (60_000).to_bytes(2, "big") * 2
    path.write_bytes(content)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    with pytest.raises(
        DataError, match=rf"{path.name} cannot be decoded \(Image size .*; replace it, or say corrupt: skip"
    ):
        data.float(slice(10))


# --- in memory, on a device, as a part --------------------------------------------------------------------------------


def test_in_memory_it_is_the_same_set(root):
    data = load("imagenette", "test", root=root, size=16, workers=0)
    held = data.in_memory()
    assert isinstance(held, ImageSet) and held.classes == data.classes and not held.bundled
    assert torch.equal(held.float(), data.float()) and torch.equal(held.labels, data.labels)
    for (a, b), (c, d) in zip(held.batches([torch.tensor([4, 2])]), data.batches([torch.tensor([4, 2])]), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    assert data.device == data.to("cpu").device == held.device == torch.device("cpu")


def test_select(root):
    data = load("imagenette", "test", root=root, size=16)
    for index in (slice(2, 5), [2, 3, 4], torch.tensor([2, 3, 4]), torch.arange(len(data)).clamp(1, 5).eq(5) == 2):
        chosen = data.select(index)
        assert torch.equal(chosen.labels, data.labels[index]) and len(chosen) == len(chosen.files)
    assert len(data.select([])) == 0 and len(data.select([]).in_memory()) == 0


def test_more_than_memory_should_hold_is_refused(root, monkeypatch):
    monkeypatch.setattr(stream, "_LARGEST", 120 * 3 * 16 * 16)
    data = load("imagenette", "test", root=root, size=16)
    assert len(data.in_memory()) == 120
    with pytest.raises(MemoryError, match="120 pictures of imagenette take .* choose fewer, or use batches"):
        data.float()


def test_no_more_than_a_few_batches_are_ahead(root):
    """Whatever the number of workers, what they decode ahead of the batch in use is `AHEAD` batches."""
    data = load("imagenette", "full", root=root, size=16, workers=2)
    loader = data._pieces(list(torch.arange(120).split(40)), None)
    assert loader.num_workers * loader.prefetch_factor * max(map(len, loader.sampler)) <= stream.AHEAD * 40


def test_fingerprint_tells_names_sizes_labels_and_crop(own):
    known = load("imagenette", "full", root=own, size=16)
    assert load("imagenette", "full", root=own, size=16, workers=0, corrupt="skip").fingerprint == known.fingerprint
    (own / "imagenette2-160").rename(own / "imagenette2")  # where it lies does not matter
    again = load("imagenette", "full", root=own, size=16)
    assert again.fingerprint == known.fingerprint
    others = [dataclasses.replace(again, size=8), dataclasses.replace(again, labels=again.labels.flip(0))]
    others += [again.select(slice(29)), load("imagenette", "full", root=own, size=16, seed=1)]
    spoil(again, 0)
    others.append(load("imagenette", "full", root=own, size=16))
    prints = [data.fingerprint for data in (known, *others)]
    assert all(a != b for a, b in itertools.combinations(prints, 2))


# --- folders that are not what they should be -------------------------------------------------------------------------


def test_a_plain_folder(own):
    data = folders.plain(own / "imagenette2-160" / "val", size=16, workers=0)
    assert data.classes == tuple(sorted(folders.IMAGENETTE)) and len(data) == 30 and data.labels[:3].tolist() == [0] * 3
    with pytest.raises(
        DataError, match="lacks wolf and has n01440764, n02102040, n02979186 and 7 more, which it should"
    ):
        folders.plain(own / "imagenette2-160" / "val", classes=["wolf"])
    with pytest.raises(DataError, match="there is no folder"):
        folders.plain(own / "elsewhere")


def test_classes_that_are_not_the_data_sets(own):
    base = own / "imagenette2-160"
    (base / "train" / "n00000001").mkdir()
    with pytest.raises(
        DataError, match="it has n00000001, which it should not; `semcont data prepare imagenette` gets it"
    ):
        load("imagenette", "train", root=own)
    assert len(load("imagenette", "test", root=own)) == 30
    base.rename(own / "imagenet")
    with pytest.raises(DataError, match="imagenet has 1,000 classes, but .* has 10 folders .*SEMCONT_DATA"):
        load("imagenet", "test", root=own)


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(DataError, match="has no folder imagenet; `semcont data prepare imagenet` gets it"):
        load("imagenet", "train", root=tmp_path)
    for folder, said in (
        ("imagenette2", "has no folder 'train'"),
        ("imagenette2/train", "is empty, or holds no folder for each class"),
    ):
        (tmp_path / folder).mkdir()
        with pytest.raises(DataError, match=said):
            load("imagenette", "train", root=tmp_path)
    for wnid in folders.IMAGENETTE:
        (tmp_path / "imagenette2" / "train" / wnid).mkdir()
    with pytest.raises(DataError, match="n01440764 holds no picture"):
        load("imagenette", "train", root=tmp_path)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"corrupt": "ignore"}, "corrupt must be one of fatal, skip, got 'ignore'"),
        ({"size": 0}, "size must be a whole number of pixels"),
        ({"rho": 0.5}, "no option of imagenette is called 'rho'"),
    ],
)
def test_impossible_settings(root, settings, said):
    with pytest.raises(ValueError, match=said):
        load("imagenette", "test", root=root, **settings)
