"""`semcont data list` and `semcont data prepare`, on small files and archives that are made here."""

import errno
import shutil
from collections import namedtuple
from urllib.error import URLError

import published
import pytest
from torchvision import datasets as tv
from torchvision.datasets import utils

from semcont.datasets import downloads, sizes
from semcont.paper import catalogue, cli, fetching, paths


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder of data, and no network."""
    monkeypatch.setenv("SEMCONT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(utils, "_urlretrieve", _unreachable)
    monkeypatch.setattr(utils, "_get_redirect_url", _unreachable)
    return tmp_path / "data"


def _unreachable(*_, **__):
    raise URLError("Name or service not known")


def served(monkeypatch, files: dict) -> None:
    """torchvision's downloads, answered with the file of the same name, half of it where that is asked for."""
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", lambda url, to, *_: shutil.copy(files[url.rsplit("/", 1)[1]], to))


def failing(monkeypatch, error: Exception) -> None:
    def fetcher(_):
        raise error

    monkeypatch.setattr(fetching, "_FETCHERS", dict.fromkeys(fetching._FETCHERS, fetcher))


def archives(root, monkeypatch, name: str) -> dict:
    """What the network serves of a data set: its archives, packed from small files, and their MD5 where asked for."""
    made = root.parent / "made"
    if name in ("cifar10", "cifar100"):
        published.cifar(made, monkeypatch, name)
        kind = getattr(tv, name.upper())
        archive = root.parent / kind.filename
        monkeypatch.setattr(kind, "tgz_md5", published.tarred(archive, made, kind.base_folder))
        return {kind.filename: archive}
    if name == "svhn":
        published.svhn(made, monkeypatch)
        for part, sums in downloads.CHECKSUMS["svhn"].items():
            ((path, md5),) = sums.items()
            monkeypatch.setitem(tv.SVHN.split_list, part, [f"https://example.org/{path}", path, md5])
        return {path: made / path for part in downloads.CHECKSUMS["svhn"].values() for path in part}
    if name == "imagenette":
        published.photographs(made / "imagenette2-320", each=1)
        archive = root.parent / "imagenette2-320.tgz"
        md5 = published.tarred(archive, made, "imagenette2-320")
        monkeypatch.setattr(fetching, "IMAGENETTE", (fetching.IMAGENETTE[0], md5))
        return {archive.name: archive}
    published.mnist(made, monkeypatch)
    resources, served_files = [], {}
    for path in downloads.files_of_set("mnist"):
        archive = root.parent / f"{path.rsplit('/', 1)[1]}.gz"
        resources.append((archive.name, published.gzipped(archive, made / path)))
        served_files[archive.name] = archive
    monkeypatch.setattr(tv.MNIST, "resources", resources)
    return served_files


@pytest.mark.parametrize("name", ["cifar100", "cifar10", "svhn", "mnist", "color_mnist", "imagenette"])
def test_prepare_gets_verifies_and_finds_again(name, root, monkeypatch):
    served(monkeypatch, archives(root, monkeypatch, name))
    assert catalogue.state(name, root) == "missing"
    assert catalogue.prepared(name, root) == f"{name}: downloaded and verified, in {root}"
    assert catalogue.state(name, root, verify=True).startswith("there")
    monkeypatch.setattr(utils, "_urlretrieve", _unreachable)
    how = " (imagenette2-320, 10 pictures in train, 10 pictures in val)" if name == "imagenette" else " and verified"
    assert catalogue.prepared(name, root) == f"{name}: there{how}, in {root}"
    assert not [path for path in root.rglob("*") if path.suffix in (".gz", ".tgz", ".part")]  # no archive stays


@pytest.mark.parametrize("name", ["cifar100", "svhn", "mnist", "imagenette"])
def test_prepare_mends_half_a_download(name, root, monkeypatch):
    files = archives(root, monkeypatch, name)
    halves = {file: root.parent / f"half-{file}" for file in files}
    for file, half in halves.items():
        half.write_bytes(files[file].read_bytes()[:-60])
    served(monkeypatch, halves)
    with pytest.raises(paths.UserError, match=f"{name}: the download broke off or is not the published file .* again"):
        catalogue.prepared(name, root)
    assert catalogue.state(name, root, verify=True) != "there"
    served(monkeypatch, files)
    assert "downloaded and verified" in catalogue.prepared(name, root)


def test_prepare_mends_a_file_that_was_damaged(root, monkeypatch):
    served(monkeypatch, archives(root, monkeypatch, "mnist"))
    catalogue.prepared("mnist", root)
    path = root / downloads.files_of_set("mnist")[0]
    path.write_bytes(path.read_bytes()[:-9])
    assert catalogue.state("mnist", root) == "there"  # by its name, quickly
    assert "only a part of it" in catalogue.state("mnist", root, verify=True)
    assert "downloaded and verified" in catalogue.prepared("mnist", root)


@pytest.mark.parametrize("folder", ["imagenette2-320", "imagenette-224"])
def test_prepare_neither_fills_nor_replaces_a_folder_of_somebodys(folder, root, monkeypatch):
    """Whether it would be in the way of the download or be preferred to it: nothing is downloaded."""
    monkeypatch.setattr(utils, "_urlretrieve", lambda *_: pytest.fail("downloaded"))
    published.photographs(root / folder, each=1)
    (lost,) = (root / folder / "val" / "n01440764").iterdir()
    lost.unlink()
    with pytest.raises(paths.UserError) as refused:
        catalogue.prepared("imagenette", root)
    assert str(refused.value).startswith(f"imagenette: {root / folder} is in the way ({lost.parent} holds no picture")
    assert str(refused.value).endswith("delete or rename it first")


def test_without_a_network(root, monkeypatch, capsys):
    for name in fetching._FETCHERS:
        with pytest.raises(
            paths.UserError, match=f"{name}: no answer from the network .Name or service not known.; run"
        ):
            catalogue.prepared(name, root)
    monkeypatch.setattr("sys.argv", ["semcont", "data", "prepare", "svhn"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr().err
    assert exit.value.code == 1 and said.startswith("semcont: svhn: no answer") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "no"), "cannot be written; set SEMCONT_DATA to a folder that can be"),
        (OSError(errno.EROFS, "read-only"), "cannot be written"),
        (OSError(errno.ENOSPC, "full"), "no room is left"),
        (TimeoutError("timed out"), "no answer from the network .timed out."),
        (RuntimeError("File not found or corrupted."), "is not the published file .File not found or corrupted"),
        (EOFError(), "the download broke off .* .EOFError."),
    ],
)
def test_what_else_can_go_wrong_is_one_line(error, said, root, monkeypatch):
    failing(monkeypatch, error)
    with pytest.raises(paths.UserError, match=said) as caught:
        catalogue.prepared("cifar10", root)
    assert "\n" not in str(caught.value) and caught.value.__suppress_context__


def test_no_room(root, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**8))
    with pytest.raises(paths.UserError, match=r"svhn needs 0.7 GB, and .* has 0.1 GB free: make room"):
        catalogue.prepared("svhn", root)


def test_what_cannot_be_downloaded_says_how_to_come_by_it(root):
    with pytest.raises(paths.UserError, match="register at https://www.image-net.org/.*/imagenet/train/<wnid>"):
        catalogue.prepared("imagenet", root)
    with pytest.raises(paths.UserError, match="svhn_train_first1083.npz, or use svhn"):
        catalogue.prepared("svhn-first1083", root)
    assert "nothing to prepare" in catalogue.prepared("photodigits", root)
    with pytest.raises(paths.UserError, match="unknown data set 'cifar-100'; did you mean 'cifar100'"):
        catalogue.prepared("cifar-100", root)


def test_list_says_what_is_there_missing_and_broken(root, monkeypatch, capsys):
    published.cifar(root, monkeypatch)
    published.photographs(root / "imagenette-224", each=2)
    published.mnist(root, monkeypatch)
    broken = root / downloads.files_of_set("mnist")[1]
    broken.unlink()
    monkeypatch.setattr("sys.argv", ["semcont", "data", "list", "--verify"])
    try:
        cli.main()
    except SystemExit as exit:
        assert not exit.code
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split()[1] for line in lines if line and line.split()[0] in catalogue.ENTRIES}
    assert found == {
        "cifar100": "there",
        "cifar10": "missing",
        "svhn": "missing",
        "svhn-first1083": "missing",
        "mnist": "broken",
        "color_mnist": "broken",
        "biased_mnist": "broken",
        "biased_mnist_grey": "broken",
        "imagenette": "there",
        "imagenet": "missing",
    }
    text = "\n".join(lines)
    assert "imagenette-224, 20 pictures in train, 20 pictures in val" in text and f"{broken} is missing" in text
    assert "licence" in text and "https://www.cs.toronto.edu/~kriz/cifar.html" in text and "169 MB" in text
    assert {*catalogue.ENTRIES, *catalogue._BUNDLED} == set(sizes())


def test_the_archive_of_imagenette_is_torchvisions():
    assert tv.Imagenette._ARCHIVES["320px"] == fetching.IMAGENETTE
