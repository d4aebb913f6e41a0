"""Networks with the normaliser inside, so that perturbations and attacks live in pixel space [0, 1].

`width` is the channels of the first stage. The residual networks use torchvision's blocks and parameter names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from ._checks import check_choice

STEMS = ("cifar", "cifar-stride2", "cifar-averaged", "imagenet")
"""3x3 convolution with stride 1; the same with stride 2; with stride 1 on the means of blocks of 2x2 pixels, so that it
can pass over none; 7x7 with stride 2 and max-pooling."""

RESNETS = {
    "resnet18": ("BasicBlock", (2, 2, 2, 2)),
    "resnet50": ("Bottleneck", (3, 4, 6, 3)),
    "resnet18-slim3": ("BasicBlock", (1, 1, 1)),
}
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTRED = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))  # mean and standard deviation where the data's own are not asked for
_ONEDNN_BLOCK = 16  # channels that oneDNN takes at a time with AVX-512


class Normalize(nn.Module):
    """(x - mean) / std per channel; mean and std in units of the pixel range [0, 1]."""

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def channel_std(model: nn.Module) -> Float[Tensor, "1 3 1 1"]:
    """What the network's normaliser divides each channel by; ones where it has none.

    A radius eps on normalised images is eps times this in pixels.
    """
    found = next((module for module in model.modules() if isinstance(module, Normalize)), None)
    return torch.ones(1, 3, 1, 1) if found is None else found.std.detach().clone()


class Narrow(nn.Conv2d):
    """A 1x1 convolution with a stride, of the pixels that the stride leaves: the same map, in two steps.

    In one step, on several threads and with fewer than 16 channels laid out channels-last, oneDNN's gradient of the
    weights writes past its workspace and the process dies (uxlfoundation/oneDNN#6035, torch 2.14).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return nn.functional.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)


class ResNet(nn.Module):
    """A residual network (He et al. 2016) of any width, number of stages and stem, from torchvision's blocks.

    Maps images in [0, 1] of shape (n, 3, h, w) to logits (n, classes).
    """

    def __init__(self, block, blocks, classes, width, stem, norm, statistics) -> None:
        super().__init__()
        self.normalize = Normalize(*statistics)
        kernel, stride = {"cifar-stride2": (3, 2), "imagenet": (7, 2)}.get(stem, (3, 1))
        self.means = nn.AvgPool2d(2, ceil_mode=True) if stem == "cifar-averaged" else nn.Identity()
        self.conv1 = nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        channels = width
        for stage, count in enumerate(blocks):
            planes = width * 2**stage
            layers = []
            for k in range(count):
                step = 2 if stage > 0 and k == 0 else 1
                down = None
                if step != 1 or channels != planes * block.expansion:
                    convolution = Narrow if step != 1 and channels < _ONEDNN_BLOCK else nn.Conv2d
                    down = nn.Sequential(
                        convolution(channels, planes * block.expansion, 1, step, bias=False),
                        norm(planes * block.expansion),
                    )
                layers.append(block(channels, planes, step, down, norm_layer=norm))
                channels = planes * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.means(self.normalize(x))))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(self.avgpool(x).flatten(1))


class Normalized(nn.Module):
    """One of torchvision's classifiers behind a normaliser, so that it takes images in [0, 1]."""

    def __init__(self, network: nn.Module, statistics) -> None:
        super().__init__()
        self.normalize = Normalize(*statistics)
        self.network = network

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        return self.network(self.normalize(x))


def build(
    name: str,
    *,
    classes: int,
    width: int = 64,
    stem: str = "cifar",
    norm: str = "batch",
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    generator: Generator | None = None,
) -> nn.Module:
    """A network that maps images in [0, 1], (n, 3, h, w), to logits (n, classes), with fresh weights.

    `name` is `resnet18`, `resnet50`, `resnet18-slim3` (three stages of one block) or any of torchvision's classifiers,
    which keep their own width and stem and ImageNet's `statistics` (mean and std per channel). `norm` is "batch" or
    "group" (groups of 8 channels). The weights depend on `generator` alone; None draws from torch's
    global one. Convolutions are laid out channels-last. Raises `ValueError` for an unknown name or stem, or
    fewer than two classes.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"classes must be an integer of at least 2, not {classes!r}")
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a positive integer, not {width!r}")
    check_choice(stem, STEMS, "stem")
    check_choice(norm, ("batch", "group"), "norm")
    with _drawing_from(generator):
        network = _fresh(name, classes, width, stem, norm, statistics)
    return network.to(memory_format=torch.channels_last)


@contextmanager
def _drawing_from(generator: Generator | None) -> Iterator[None]:
    """torch's global CPU stream, seeded from `generator`, restored afterwards; no other device's stream is touched."""
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        if generator is not None:
            seed = torch.randint(2**62, (), generator=generator, device=generator.device)
            torch.default_generator.manual_seed(int(seed))
        yield


def _fresh(name, classes, width, stem, norm, statistics) -> nn.Module:
    if name in RESNETS:
        from torchvision.models import resnet

        block, blocks = RESNETS[name]
        layer = nn.BatchNorm2d if norm == "batch" else partial(_group_norm, size=8)
        return ResNet(getattr(resnet, block), blocks, classes, width, stem, layer, statistics or CENTRED)
    import torchvision

    check_choice(name, [*RESNETS, *torchvision.models.list_models(module=torchvision.models)], "network")
    network = torchvision.models.get_model(name, weights=None, num_classes=classes)
    return Normalized(network, statistics or IMAGENET_STATISTICS)


def _group_norm(channels: int, size: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // size), channels)


# --- given weights ----------------------------------------------------------------------------------------------------


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a file of weights by name, on the CPU: safetensors, or what `torch.save` made of a state dict.

    Only tensors are read: nothing in the file is run. Raises `ValueError` where it cannot be read so.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each of the two libraries has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read as a network's weights ({reason})") from None
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{path} holds no table of tensors by parameter name: save the network's state_dict()")
    return dict(weights)


def pretrained(
    name: str, weights: Mapping[str, Tensor], *, width: int = 64, stem: str = "imagenet", norm: str = "batch"
) -> nn.Module:
    """A network of `build` with these weights, under torchvision's own parameter names, and as many classes as they
    have; its normaliser is ImageNet's, with which torchvision's weights were trained. In eval mode.

    Raises `ValueError` for weights of another architecture; it names the first parameter that does not fit.
    """
    with torch.device("meta"):  # shapes only
        shape = build(name, classes=2, width=width, stem=stem, norm=norm)
    last = next(path for path, module in shape.named_modules() if module is head(shape)).removeprefix("network.")
    settings = {"width": width, "stem": stem, "norm": norm, "statistics": IMAGENET_STATISTICS}
    classes = len(weights[f"{last}.weight"]) if f"{last}.weight" in weights else 2
    network = build(name, classes=max(classes, 2), **settings, generator=Generator().manual_seed(0))
    inner = network.network if isinstance(network, Normalized) else network
    _check_fit(name, inner.state_dict(), weights)
    inner.load_state_dict(dict(weights))
    return network.eval()


def _check_fit(name: str, expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    lacking, foreign = ([k for k in a if k not in b] for a, b in ((expected, weights), (weights, expected)))
    if lacking or foreign:
        told = [
            f"{verb} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for verb, names in (("lack", lacking), ("have", foreign))
            if names
        ]
        raise ValueError(f"the weights are of another architecture than {name}: they {', and '.join(told)}")
    for key, value in weights.items():
        if value.shape != expected[key].shape:
            theirs, ours = (tuple(shape) for shape in (value.shape, expected[key].shape))
            raise ValueError(
                f"the weights do not fit {name} as it is asked for (width, stem): {key} is {theirs}, not {ours}"
            )


# --- heads ------------------------------------------------------------------------------------------------------------


def head(model: nn.Module) -> nn.Module:
    """The last layer that makes logits: the last `nn.Linear`, or the last 1x1 `nn.Conv2d` (SqueezeNet).

    Raises `ValueError` where the network ends in neither.
    """
    for module in reversed(list(model.modules())):
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)):
            return module
    raise ValueError(f"{type(model).__name__} has no linear or 1x1 convolutional layer to call its head")


def replace_head(model: nn.Module, classes: int, generator: Generator | None = None) -> nn.Module:
    """Put a fresh head for `classes` classes on the network, in place, and return it; the rest keeps its weights."""
    old = head(model)
    with _drawing_from(generator):
        linear = isinstance(old, nn.Linear)
        new = nn.Linear(old.in_features, classes) if linear else nn.Conv2d(old.in_channels, classes, 1)
    path = next(path for path, module in model.named_modules() if module is old)
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, new.to(old.weight.device, old.weight.dtype))
    return model


def embed(model: nn.Module, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """What the network hands to its head: the features that a linear probe is trained on (spatially averaged)."""
    caught: list[Tensor] = []
    handle = head(model).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        model(x)
    finally:
        handle.remove()
    features = caught[0]
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def last_stage(model: nn.Module) -> nn.Module:
    """The module whose output is the last map with more than one position: where GradCAM looks.

    For the residual networks here that is the last stage. Raises `ValueError` for a network without one.
    """
    network = getattr(model, "network", model)
    if isinstance(network, ResNet):
        return getattr(network, f"layer{network.stages}")
    for name in ("layer4", "features"):
        if hasattr(network, name):
            return getattr(network, name)
    raise ValueError(f"{type(network).__name__} has no last stage known here; pass the layer itself")
