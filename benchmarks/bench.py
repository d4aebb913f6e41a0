"""What the method costs, against the plainest code that does the same. Run it with `make bench`.

Every comparison is made in one process in turn, A B A B ..., and quoted as the median of the paired ratios with its
range: absolute times depend on the machine and on what else it does.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import reading
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tv

import semcont
from semcont.datasets import DataError
from semcont.paper.images import source_of
from semcont.paper.presets import load_preset
from semcont.paper.runs import objective_of, split_of
from semcont.training import generator_for

PAIRS = 5


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def paired(
    label: str, ours: Callable[[], object], other: Callable[[], object], per: str, count: int = PAIRS, warm: bool = True
) -> None:
    """Print the time of `ours`, and its ratio to `other` over `count` pairs, after one warm-up of each."""
    if warm:
        ours(), other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(count)]
    ratios = sorted(a / b for a, b in pairs)
    middle = statistics.median(a for a, _ in pairs)
    print(
        f"{label:<58}{middle:8.3f} s {per:<18} "
        f"ratio {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def importing() -> None:
    python = lambda code: subprocess.run([sys.executable, "-c", code], check=True)  # noqa: E731
    torch_alone = lambda: python("import torch")  # noqa: E731
    paired("import semcont / import torch", lambda: python("import torch, semcont"), torch_alone, "")
    every_name = "import semcont; [getattr(semcont, name) for name in semcont.__all__]"
    paired("import semcont, every name looked up / import torch", lambda: python(every_name), torch_alone, "")


def perturbing(x: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.rand(len(x), generator=generator) + 0.5
    turns = torch.rand(len(x), generator=generator) - 0.5
    one_by_one = lambda f, s: [f(image[None], float(v)) for image, v in zip(x, s, strict=True)]  # noqa: E731
    paired("contrast, a factor per image / torchvision one by one", lambda: semcont.contrast(x, factors),
           lambda: one_by_one(tv.adjust_contrast, factors), f"{len(x)} images")  # fmt: skip
    paired("hue, turns per image / torchvision one by one", lambda: semcont.hue(x, turns),
           lambda: one_by_one(tv.adjust_hue, turns), f"{len(x)} images")  # fmt: skip


def attacking(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    settings = {"eps": 8 / 255, "step_size": 2 / 255, "steps": 10}

    def plain() -> torch.Tensor:
        adv = (x + torch.empty_like(x).uniform_(-8 / 255, 8 / 255)).clamp(0, 1)
        for _ in range(10):
            adv.requires_grad_()
            loss = F.cross_entropy(model(adv), y)
            (gradient,) = torch.autograd.grad(loss, adv)
            adv = (adv.detach() + 2 / 255 * gradient.sign()).clamp(x - 8 / 255, x + 8 / 255).clamp(0, 1)
        return adv

    paired(
        "PGD-10 / the same loop written out", lambda: semcont.pgd(model, x, y, **settings), plain, f"{len(x)} images"
    )


def network(preset, classes: int) -> torch.nn.Module:
    return semcont.build(preset.model.name, classes=classes, width=preset.model.width, stem=preset.model.stem)


def bare(preset, data: semcont.ImageSet) -> None:
    """One epoch on cross-entropy, in the fewest lines: network, batch, optimiser and precision are the preset's, and
    there is no augmentation.
    """
    half = torch.autocast("cpu", torch.bfloat16, enabled=preset.training.precision == "bfloat16")
    model = network(preset, len(data.classes)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for rows in torch.randperm(len(data)).split(preset.training.batch_size):
        x = data.images[rows].float().div(255).contiguous(memory_format=torch.channels_last)
        with half:
            loss = F.cross_entropy(model(x), data.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def training(preset, data: semcont.ImageSet, arms: tuple[str, ...], **settings) -> None:
    """One epoch of each arm; `settings` as in `paired`."""
    recipe = replace(preset.training, epochs=1)
    for arm in arms:
        objective = objective_of(preset, arm)
        fit = lambda objective=objective: semcont.fit(  # noqa: E731
            network(preset, len(data.classes)), data, objective, recipe, seed=0
        )
        label = f"{preset.name}, one epoch of {arm} / a bare loop"
        paired(label, fit, lambda: bare(preset, data), f"{len(data)} images", **settings)


def training_on_cifar() -> None:
    """A whole epoch of real images, with the recipe's augmentation; the ratio should stay below 1.25."""
    preset = load_preset("cifar100-cpu")
    torch.set_num_threads(preset.threads)
    try:
        data = source_of(preset, "full")
    except DataError as error:
        print(f"cifar100-cpu, one epoch: not measured, {error}")
        return
    training(preset, data, ("base",), count=2, warm=False)  # minutes each


def main() -> None:
    preset = load_preset("quick")
    torch.set_num_threads(preset.threads)
    print(f"torch {torch.__version__}, {preset.threads} thread, preset {preset.name}; medians of {PAIRS} pairs")
    importing()
    data = split_of(preset, "train").select(slice(2000))
    x, y = data.float(slice(256)), data.labels[:256]
    perturbing(x)
    model = semcont.build(
        preset.model.name,
        classes=10,
        width=preset.model.width,
        stem=preset.model.stem,
        generator=generator_for(0, "weights"),
    ).eval()
    attacking(model, x.contiguous(memory_format=torch.channels_last), y)
    training(preset, data, preset.arms)
    training_on_cifar()
    reading.measure(paired)


if __name__ == "__main__":
    main()
