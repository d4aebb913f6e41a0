"""The data sets: `semcont data list` says what is at hand, `semcont data prepare NAME` gets the rest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from . import paths
from .strict import SettingsError, nearest

app = typer.Typer(help="The data sets.", no_args_is_help=True)

_BUNDLED = {
    "photodigits": "handwritten digits on photographs, composed on the spot; the study's own set",
    "color_digits": "white digits on a red or blue ground, the colours turned round in testing (section 4.7)",
    "biased_digits": "digits whose colour agrees with a noisy label, and turns against it in testing (section 4.7)",
    "biased_digits_grey": "the same digits without their colours, for the oracle",
    "grey_digits": "the same digits in grey (transfer, section 4.6)",
    "textures": "which of the photographs a crop is from (transfer)",
    "faces": "faces against pieces of background (transfer)",
}


@dataclass(frozen=True)
class Entry:
    """A data set in files: what it is, megabytes to download, whence, under what licence. Details: data/README.md."""

    about: str
    megabytes: int
    home: str
    licence: str


_CIFAR = ("https://www.cs.toronto.edu/~kriz/cifar.html", "licence: none stated")
_MNIST = (12, "http://yann.lecun.com/exdb/mnist/", "licence: CC BY-SA 3.0")
_SVHN = ("http://ufldl.stanford.edu/housenumbers/", "licence: non-commercial use")
_IMAGENET = ("https://www.image-net.org/", "licence: non-commercial research and education, on registration")
ENTRIES = {
    "cifar100": Entry("a hundred classes of small photographs; the paper's main set", 169, *_CIFAR),
    "cifar10": Entry("ten classes of small photographs (transfer)", 170, *_CIFAR),
    "svhn": Entry("house numbers (transfer)", 246, *_SVHN),
    "svhn-first1083": Entry("the first crops of its training part, for cross-validation", 3, *_SVHN),
    "mnist": Entry("handwritten digits, padded to 32 pixels (transfer)", *_MNIST),
    "color_mnist": Entry("MNIST in white on a red or blue ground (section 4.7), from the same files", *_MNIST),
    "biased_mnist": Entry("MNIST, its colours agreeing with a noisy label (section 4.7), from the same files", *_MNIST),
    "biased_mnist_grey": Entry("the same without its colours, for the oracle", *_MNIST),
    "imagenette": Entry(
        "ten classes of ImageNet, streamed",
        342,
        "https://github.com/fastai/imagenette",
        "licence of the collection: Apache 2.0; of the photographs: ImageNet's",
    ),
    "imagenet": Entry("a thousand classes, streamed", 156_000, *_IMAGENET),
}


@app.command("list")
def list_data(
    verify: Annotated[bool, typer.Option("--verify", help="Read every file and compare its checksum.")] = False,
) -> None:
    """What is there, what is missing, how large, from where, under what licence."""
    print("\n".join(lines(paths.data(), verify)))


@app.command()
def prepare(name: Annotated[str, typer.Argument(help="A data set's name, as `semcont data list` says it.")]) -> None:
    """Get a data set, where it can be downloaded, and verify it."""
    print(prepared(name, paths.data()))


def lines(root: Path, verify: bool = False) -> list[str]:
    """What `semcont data list` says of the bundled sets and of those in the folder `root`."""
    from ..datasets import sizes

    splits = {name: ", ".join(f"{split} {n:,}" for split, n in by_split.items()) for name, by_split in sizes().items()}
    said = ["Bundled, composed from pictures inside scikit-learn and scikit-image:", ""]
    said += [f"{name:18} {splits[name]:52} {about}".rstrip() for name, about in _BUNDLED.items()]
    said += ["", f"In files, {root} (SEMCONT_DATA names another folder):", ""]
    for name, entry in ENTRIES.items():
        found = state(name, root, verify)
        size = f"{entry.megabytes:,} MB"
        said.append(f"{name:18} {found.split(':')[0]:10} {size:>10}  {splits[name]}; {entry.about}")
        said.append(f"{'':18} {entry.home}; {entry.licence}")
        if ": " in found:
            said.append(f"{'':18} {found.split(': ', 1)[1]}")
    return [*said, "", "`semcont data prepare NAME` gets what is missing. Sources and licences: data/README.md."]


def state(name: str, root: Path, verify: bool = False) -> str:
    """ "missing", "there" (": " and how much of a set that comes in sizes), or "broken: " and what is wrong.

    With `verify`, checksums are compared, too.
    """
    from ..datasets import DataError, downloads, folders

    try:
        if name in folders.PLACES:
            if not any((root / folder).is_dir() for folder in folders.PLACES[name]):
                return "missing"
            base, counts = folders.check(name, root)
            return f"there: {base.name}, " + ", ".join(f"{n:,} pictures in {part}" for part, n in counts.items())
        wanted = downloads.files_of_set(name)
        if not any((root / path).is_file() for path in wanted):
            return "missing"
        downloads.check(name, root, verify)
    except DataError as error:
        return f"broken: {error}"
    return "there"


def prepared(name: str, root: Path) -> str:
    """Get a data set into the folder `root` unless it is there, verify it, and say so in one line.

    Of what is there, checksums are compared where they are published; of pictures in folders, that each class has some.

    Raises `UserError` where that cannot be done: no network, another file than the published one, no room, a folder
    that cannot be written, or a set that nobody may hand out.
    """
    from . import fetching

    if name in _BUNDLED:
        return f"{name} is bundled: there is nothing to prepare"
    if name not in ENTRIES:
        known = [*_BUNDLED, *ENTRIES]
        raise SettingsError(f"unknown data set {name!r}{nearest(name, known)} (one of {', '.join(known)})")
    found = state(name, root, verify=True)
    if found.startswith("there"):
        return f"{name}: there{_how(found)}, in {root}"
    fetching.fetch(name, ENTRIES[name], root, found)
    found = state(name, root, verify=True)
    if not found.startswith("there"):
        raise paths.UserError(f"{name} was downloaded into {root}, but is {found}")
    return f"{name}: downloaded and verified, in {root}"


def _how(found: str) -> str:
    """What was verified of a set that is there, from its `state`."""
    return f" ({found.removeprefix('there: ')})" if ": " in found else " and verified"
