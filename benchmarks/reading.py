"""What reading costs: CIFAR-100 from its files; a folder of JPEGs against a bare DataLoader. Part of `make bench`."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semcont.datasets import DataError, Stream, folders, load, stream
from semcont.paper import paths

PICTURES, BATCH = 1000, 64
SIDES = (500, 375)  # pixels: as ImageNet's are on average

_LOADING = """
import pathlib, sys, time
from semcont.datasets import load
load("photodigits", "test", n=10)
status = lambda: pathlib.Path("/proc/self/status").read_text()  # Linux; getrusage would count what the parent took
peak = lambda: int(status().split("VmHWM:")[1].split()[0]) * 1024
before, began = peak(), time.perf_counter()
data = load("cifar100", "full", root=sys.argv[1])
seconds, size = time.perf_counter() - began, data.images.numel()
print(f"{seconds:8.3f} s {len(data)} images   peak of memory {(peak() - before) / size:.2f} of their bytes")
"""


def measure(paired: Callable) -> None:
    """Print both; `paired` is how the benchmarks compare two functions."""
    loading()
    with tempfile.TemporaryDirectory() as folder:
        streaming(paired, pictures(Path(folder)))


def loading() -> None:
    label = "loading CIFAR-100 from its files"
    if not ((paths.data() / "cifar-100-python").is_dir() and Path("/proc/self/status").is_file()):
        print(f"{label:<58} not measured: needs Linux, and the data under SEMCONT_DATA")
        return
    command = [sys.executable, "-c", _LOADING, str(paths.data())]
    print(f"{label:<58}{subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()}")


def pictures(folder: Path) -> Stream:
    """Imagenette's training photographs where they are at hand, else JPEGs of noise made for the purpose."""
    try:
        return load("imagenette", "train", root=paths.data(), n=PICTURES)
    except (DataError, ValueError):
        rng = np.random.default_rng(0)
        for k in range(PICTURES):
            (folder / f"class{k % 2}").mkdir(exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
            coarse.resize(SIDES, Image.Resampling.BICUBIC).save(folder / f"class{k % 2}" / f"{k}.jpg", quality=90)
        return folders.plain(folder)


def streaming(paired: Callable, data: Stream) -> None:
    """An epoch with random crops, against torchvision's transforms in a DataLoader with as many workers."""
    from torchvision.datasets.folder import default_loader
    from torchvision.transforms import v2

    crop = v2.Compose([v2.RandomResizedCrop(data.size), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    files = [str(data.folder / data.files[k].decode()) for k in order.tolist()]

    class Bare(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return crop(default_loader(files[index])), int(data.labels[order[index]])

    def bare() -> None:
        for x, _ in torch.utils.data.DataLoader(Bare(), batch_size=BATCH, num_workers=stream.usable_cores()):
            x.float().div_(255)

    def ours() -> None:
        for _ in data.batches(order.split(BATCH), seed=0):
            pass

    paired(f"streaming {data.name} / a bare DataLoader", ours, bare, f"{len(data)} pictures")
