"""CIFAR, SVHN, MNIST and Color MNIST, from small files in the published formats and from the real ones."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import published
import pytest
import torch

from semcont.datasets import DataError, colordigits, downloads, load, parts, pickled, sizes
from semcont.paper import paths

MAKERS = {
    "cifar100": published.cifar,
    "cifar10": lambda root, patch: published.cifar(root, patch, "cifar10"),
    "svhn": published.svhn,
    "mnist": published.mnist,
}


@pytest.fixture(params=MAKERS)
def name(request) -> str:
    return request.param


def expected(name: str, images: np.ndarray) -> np.ndarray:
    """What the loader makes of a part's pictures."""
    if name != "mnist":
        return images
    padded = np.zeros((len(images), 32, 32), dtype=np.uint8)
    padded[:, 2:30, 2:30] = images
    return np.stack([padded] * 3, 1)


def test_every_picture_comes_with_its_label(name, tmp_path, monkeypatch):
    known = MAKERS[name](tmp_path, monkeypatch)
    for split, part in (("full", "train"), ("test", "test")):
        data = load(name, split, root=tmp_path)
        images, labels = known[part]
        rows = parts.rows(labels, split, seed=0, n=None, name=name)
        assert sorted(rows) == list(range(len(labels)))
        assert torch.equal(data.images, torch.from_numpy(expected(name, images)[rows]))
        assert torch.equal(data.labels, torch.from_numpy(labels[rows])) and data.images.is_contiguous()
        assert not data.bundled and data.groups is None and len(data.classes) == (100 if name == "cifar100" else 10)


def test_torchvision_reads_the_same(name, tmp_path, monkeypatch):
    """Its readers are the independent implementation: the same pictures for the same labels, in the files' order."""
    from torchvision import datasets

    MAKERS[name](tmp_path, monkeypatch)
    if name == "svhn":
        for part, sums in downloads.CHECKSUMS["svhn"].items():
            ((path, md5),) = sums.items()
            monkeypatch.setitem(datasets.SVHN.split_list, part, ["", path, md5])
        theirs = datasets.SVHN(tmp_path, "train")
        images, labels = theirs.data, theirs.labels
    elif name == "mnist":
        theirs = datasets.MNIST(tmp_path)
        images, labels = theirs.data.numpy(), theirs.targets.numpy()
    else:
        kind = getattr(datasets, name.upper())
        for part in ("train", "test"):
            table = [[path.split("/")[1], md5] for path, md5 in downloads.CHECKSUMS[name][part].items()]
            monkeypatch.setattr(kind, f"{part}_list", table)
        monkeypatch.setattr(kind, "meta", kind.meta | {"md5": next(iter(downloads.CHECKSUMS[name]["meta"].values()))})
        theirs = kind(tmp_path)
        images, labels = theirs.data.transpose(0, 3, 1, 2), np.array(theirs.targets)
        assert load(name, "test", root=tmp_path).classes == tuple(theirs.classes)
    ours = load(name, "full", root=tmp_path)
    rows = parts.rows(labels, "full", seed=0, n=None, name=name)
    assert np.array_equal(ours.images.numpy(), expected(name, images)[rows])
    assert np.array_equal(ours.labels.numpy(), labels[rows])


def test_checksums_are_torchvisions():
    from torchvision import datasets

    for name in ("cifar10", "cifar100"):
        kind = getattr(datasets, name.upper())
        ours = downloads.CHECKSUMS[name]
        for part in ("train", "test"):
            assert {f"{kind.base_folder}/{file}": md5 for file, md5 in getattr(kind, f"{part}_list")} == ours[part]
        assert {f"{kind.base_folder}/{kind.meta['filename']}": kind.meta["md5"]} == ours["meta"]
    for part in ("train", "test"):
        _, file, md5 = datasets.SVHN.split_list[part]
        assert downloads.CHECKSUMS["svhn"][part] == {file: md5}
    files = [file for part in downloads.CHECKSUMS["mnist"].values() for file in part]
    assert files == [f"MNIST/raw/{file.removesuffix('.gz')}" for file, _ in datasets.MNIST.resources]


# --- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "each", "held"), [(10, 5000, 500), (100, 500, 50), (1000, 60, 6), (1000, 1300, 50)]
)
def test_the_validation_split_takes_the_same_share_of_every_class(classes, each, held):
    labels = published.labelled(classes * each, classes)
    mask = parts.held_out(labels)
    assert (np.bincount(labels[mask]) == held).all() and np.array_equal(mask, parts.held_out(labels.copy()))


def test_train_and_val_make_up_full_and_do_not_move_with_the_seed():
    labels = published.labelled(1000)
    split = {(s, seed): parts.rows(labels, s, seed=seed, n=None, name="x") for s in parts.SPLITS for seed in (0, 1)}
    for seed in (0, 1):
        assert np.array_equal(split["full", seed], np.concatenate([split["train", seed], split["val", seed]]))
    for part, size in (("train", 900), ("val", 100), ("test", 1000), ("full", 1000)):
        assert len(split[part, 0]) == size and set(split[part, 0]) == set(split[part, 1])
        assert not np.array_equal(split[part, 0], split[part, 1])  # the seed orders


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_first_images_of_a_split_are_balanced_and_those_of_a_longer_one(split):
    labels = published.labelled(1000)
    longer = parts.rows(labels, split, seed=3, n=None, name="x")
    for n in (1, 10, 37, 100):
        first = parts.rows(labels, split, seed=3, n=n, name="x")
        counts = np.bincount(labels[first], minlength=10)
        assert np.array_equal(first, longer[:n]) and counts.max() - counts.min() <= 1


def test_more_images_than_there_are(tmp_path, monkeypatch):
    published.mnist(tmp_path, monkeypatch)
    assert len(load("mnist", "val", root=tmp_path, n=20)) == 20
    with pytest.raises(ValueError, match="mnist has 20 images in its split 'val', got n=21"):
        load("mnist", "val", root=tmp_path, n=21)


# --- Color MNIST, the first crops of SVHN -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "n", "rare", "count"), [("train", 180, 1, 9), ("val", 20, 1, 1), ("test", 100, 0, 5)]
)
def test_color_mnist_is_mnist_in_white_on_red_or_blue(split, n, rare, count, tmp_path, monkeypatch):
    published.mnist(tmp_path, monkeypatch)
    data, grey = load("color_mnist", split, root=tmp_path), load("mnist", split, root=tmp_path)
    assert len(data) == n and int((data.context == rare).sum()) == count and not data.bundled
    assert torch.equal(data.labels, grey.labels) and torch.equal(data.masks, grey.images[:, 0] > 0)
    ink = grey.images.double() / 255
    ground = torch.from_numpy(colordigits.GROUNDS)[data.context].double()[:, :, None, None]
    assert (data.images.double() - (ink * 255 + (1 - ink) * ground)).abs().max() <= 1.01  # two roundings


def test_color_mnist_keeps_its_grounds_in_the_refit(tmp_path, monkeypatch):
    published.mnist(tmp_path, monkeypatch)
    full, train, val = (load("color_mnist", split, root=tmp_path) for split in ("full", "train", "val"))
    for field in ("images", "labels", "context", "groups", "masks"):
        assert torch.equal(getattr(full, field), torch.cat([getattr(train, field), getattr(val, field)]))


def test_the_first_crops_of_svhn(tmp_path):
    images, labels = published.pixels(30), published.labelled(30)
    np.savez(tmp_path / "svhn_train_first1083.npz", x=images.transpose(0, 2, 3, 1), y=labels)
    data = load("svhn-first1083", "all", root=tmp_path, n=20)
    assert torch.equal(data.images, torch.from_numpy(images[:20])) and data.labels.tolist() == labels[:20].tolist()
    (tmp_path / "svhn_train_first1083.npz").write_bytes(b"half a download")
    with pytest.raises(DataError, match="holds no crops x with labels y"):
        load("svhn-first1083", "all", root=tmp_path)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_one_line_that_says_what_to_do(name, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=f"{name} is read from files: pass root="):
        load(name, "test")
    with pytest.raises(DataError, match="there is no folder .*nowhere; `semcont data prepare"):
        load(name, "test", root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=rf"{name}: .* is missing; `semcont data prepare {name}` gets it, or set SEM"):
        load(name, "test", root=tmp_path)
    MAKERS[name](tmp_path, monkeypatch)
    path = tmp_path / list(downloads.CHECKSUMS[name]["train"])[-1]
    whole = path.read_bytes()
    for broken, said in ((whole[:-100], "or only a part of it"), (b"", "is empty"), (whole[:-1] + b"?", "not the pub")):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=said) as caught:
            load(name, "train", root=tmp_path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)
    load(name, "test", root=tmp_path)  # another part is none of its business


def test_pickles_that_python_3_wrote_are_read_too(tmp_path, monkeypatch):
    images, labels = published.cifar(tmp_path, monkeypatch, old=False)["test"]
    data = load("cifar100", "test", root=tmp_path)
    rows = parts.rows(labels, "test", seed=0, n=None, name="cifar100")
    assert torch.equal(data.images, torch.from_numpy(images[rows]))


def test_a_pickle_that_asks_for_other_code_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return print, ("run",)

    for content, said in (
        (pickle.dumps({"data": Harm()}), "asks for builtins.print"),
        (b"\x80\x02}q", "is not one of CIFAR's files"),
    ):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(DataError, match=said):
            pickled.read(tmp_path / "file")


# --- the real files ---------------------------------------------------------------------------------------------------

_MEASURE = """
import pathlib, sys, time
from semcont.datasets import load
status = lambda: pathlib.Path("/proc/self/status").read_text()  # getrusage would count what the parent process took
peak = lambda: int(status().split("VmHWM:")[1].split()[0]) * 1024
load("photodigits", "test", n=10)
before, began = peak(), time.process_time()
data = load("cifar100", "full", root=sys.argv[1])
print(time.process_time() - began, (peak() - before) / data.images.numel(), *data.labels.bincount().unique().tolist())
"""


@pytest.mark.real_data
@pytest.mark.skipif(not (paths.data() / "cifar-100-python").is_dir(), reason="CIFAR-100 is not under SEMCONT_DATA")
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is read from /proc")
def test_cifar_100_loads_within_three_seconds_and_half_again_its_bytes():
    """In a process of its own, whose peak says what loading took; seconds of the processor, as others may use it."""
    shown = subprocess.run(
        [sys.executable, "-c", _MEASURE, paths.data()], capture_output=True, text=True, check=True, timeout=300
    ).stdout
    seconds, ratio, *per_class = map(float, shown.split())
    assert seconds < 3 and 1 <= ratio < 1.5 and per_class == [500.0]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "val", "test"), [("cifar10", 5_000, 10_000), ("mnist", 6_000, 10_000)])
def test_the_real_splits_have_the_sizes_that_are_announced(name, val, test):
    if not all((paths.data() / path).is_file() for path in downloads.files_of_set(name)):
        pytest.skip(f"{name} is not under SEMCONT_DATA")
    assert len(load(name, "val", root=paths.data())) == val == sizes()[name]["val"]
    assert len(load(name, "test", root=paths.data())) == test == sizes()[name]["test"]
