"""The networks: torchvision's where they claim to be, and images in [0, 1] everywhere."""

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

import semcont
from semcont import models


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=seeded(1))


def channels(model: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    """Shapes after the stem and after each stage."""
    shapes = []
    stages = [model.maxpool, *(getattr(model, f"layer{k + 1}") for k in range(model.stages))]
    handles = [stage.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:]))) for stage in stages]
    model.eval()(x)
    for handle in handles:
        handle.remove()
    return shapes


@pytest.mark.parametrize(
    ("stem", "side"), [("cifar", 32), ("cifar-stride2", 16), ("cifar-averaged", 16), ("imagenet", 8)]
)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_shapes_of_resnet18(stem, side, norm):
    model = semcont.build("resnet18", classes=7, width=8, stem=stem, norm=norm)
    expected = [(8, side, side), *((8 * 2**k, side // 2**k, side // 2**k) for k in range(4))]
    assert channels(model, images()) == expected
    assert model(images()).shape == (2, 7)
    kinds = {type(m) for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)}
    assert kinds == {nn.BatchNorm2d if norm == "batch" else nn.GroupNorm}


def test_shapes_of_the_slim_network_and_of_resnet50():
    slim = semcont.build("resnet18-slim3", classes=10, width=16, stem="cifar-stride2")
    assert channels(slim, images()) == [(16, 16, 16), (16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert [len(getattr(slim, f"layer{k}")) for k in (1, 2, 3)] == [1, 1, 1] and not hasattr(slim, "layer4")
    deep = semcont.build("resnet50", classes=10, width=8)
    assert channels(deep, images())[1:] == [(32, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)]
    assert [len(getattr(deep, f"layer{k}")) for k in (1, 2, 3, 4)] == [3, 4, 6, 3]


def test_a_stem_of_means_weighs_the_pixels_of_a_block_alike():
    """At the cost of the stride: as many operations in the convolutions, and the same parameters."""
    model, strided = (
        semcont.build("resnet18-slim3", classes=3, width=8, stem=stem, generator=seeded()).eval()
        for stem in ("cifar-averaged", "cifar-stride2")
    )
    x = images().requires_grad_()
    model(x)[:, 0].sum().backward()
    blocks = x.grad.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    torch.testing.assert_close(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks.abs().amax() > 0
    assert channels(model, images()) == channels(strided, images())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), strided.parameters(), strict=True))


SIDES = [(32, "cifar"), (48, "cifar-stride2"), (64, "imagenet"), (33, "cifar"), (33, "cifar-averaged")]


@pytest.mark.parametrize(("side", "stem"), SIDES)
def test_any_size_of_image(side, stem):
    assert semcont.build("resnet18-slim3", classes=3, width=8, stem=stem)(images(2, side)).shape == (2, 3)


@pytest.mark.parametrize(("name", "width", "classes"), [("resnet18", 64, 1000), ("resnet50", 64, 10)])
def test_names_shapes_and_logits_are_torchvisions(name, width, classes):
    ours = semcont.build(
        name, classes=classes, width=width, stem="imagenet", statistics=models.IMAGENET_STATISTICS
    ).eval()
    theirs = torchvision.models.get_model(name, weights=None, num_classes=classes).eval()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        theirs.bn1.running_mean.uniform_(-1, 1, generator=seeded())
    ours.load_state_dict(theirs.state_dict())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in models.IMAGENET_STATISTICS)
    x = images(2, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs((x - mean) / std), rtol=1e-4, atol=1e-4)


def test_fresh_weights_are_spread_as_torchvisions():
    ours = semcont.build("resnet18", classes=1000, width=64, stem="imagenet", generator=seeded())
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(weights=None)
    for (name, one), two in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert one.std().item() == pytest.approx(two.std().item(), rel=0.05, abs=1e-3), name


def test_the_normaliser_is_inside():
    statistics = ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    model = semcont.build("resnet18-slim3", classes=3, width=8, statistics=statistics)
    seen = []
    model.conv1.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    model(images())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in statistics)
    torch.testing.assert_close(seen[0], (images() - mean) / std)
    assert not any("normalize" in name for name in model.state_dict()), "so weights can come from torchvision"


@pytest.mark.parametrize("name", ["resnet18-slim3", "squeezenet1_1"])
def test_fresh_weights_depend_on_the_generator_alone(name):
    torch.manual_seed(1)
    one = semcont.build(name, classes=3, width=8, generator=seeded(5)).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = semcont.build(name, classes=3, width=8, generator=seeded(5)).state_dict()
    other = semcont.build(name, classes=3, width=8, generator=seeded(6)).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[k], two[k]) for k in one) and not all(torch.equal(one[k], other[k]) for k in one)
    generator = seeded(5)
    first, second = (semcont.build(name, classes=3, width=8, generator=generator).state_dict() for _ in range(2))
    assert not all(torch.equal(first[k], second[k]) for k in first), "the generator moves on"


def test_no_other_devices_stream_is_touched(monkeypatch):
    touched = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", touched.append)
    model = semcont.build("resnet18-slim3", classes=3, width=8, generator=seeded())
    models.replace_head(model, 4, seeded())
    assert not touched


def test_without_a_generator_torch_decides():
    torch.manual_seed(1)
    one, two = (semcont.build("resnet18-slim3", classes=3, width=8).conv1.weight for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(semcont.build("resnet18-slim3", classes=3, width=8).conv1.weight, one) and not torch.equal(
        one, two
    )


def test_convolutions_are_channels_last():
    model = semcont.build("resnet18-slim3", classes=3, width=8)
    assert model.layer2[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_narrow_network_can_be_trained_on_several_threads():
    """In a process of its own, which the network as torchvision has it would take down; the gradients are the same."""
    code = """if True:
        import torch
        import semcont
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = semcont.build("resnet18-slim3", classes=3, width=8, generator=torch.Generator().manual_seed(0))
            x = torch.rand(43, 3, 32, 32, generator=torch.Generator().manual_seed(1))
            model.eval()(x.contiguous(memory_format=torch.channels_last)).square().mean().backward()
            found.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
        apart, size = (found[1] - found[0]).norm(), found[0].norm()
        assert apart < 1e-5 * size, (apart, size)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_narrow_shortcut_is_the_convolution_it_stands_for(generator):
    ours, theirs = models.Narrow(5, 7, 1, 2, bias=False), nn.Conv2d(5, 7, 1, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, 9, 8, generator=generator)
    torch.testing.assert_close(ours(x), theirs(x))
    for width, narrow in ((16, [False, False]), (8, [True, False])):
        model = semcont.build("resnet18-slim3", classes=3, width=width)
        shortcuts = [stage[0].downsample[0] for stage in (model.layer2, model.layer3)]
        assert [type(module) is models.Narrow for module in shortcuts] == narrow


TORCHVISION = ["mobilenet_v3_small", "squeezenet1_1", "vit_b_32", "shufflenet_v2_x0_5"]


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_classifiers_by_name(name):
    side = 224 if name.startswith("vit") else 64
    model = semcont.build(name, classes=5, generator=seeded()).eval()
    theirs = torchvision.models.get_model(name, weights=None, num_classes=5).eval()
    theirs.load_state_dict(model.network.state_dict())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in models.IMAGENET_STATISTICS)
    x = images(2, side)
    with torch.no_grad():
        assert model(x).shape == (2, 5)
        torch.testing.assert_close(model(x), theirs((x - mean) / std), rtol=1e-4, atol=1e-4)


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18-slim3", "resnet18"])
def test_the_head_takes_what_embed_gives(name):
    model = semcont.build(name, classes=5, width=8).eval()
    with torch.no_grad():
        features = models.embed(model, images(4))
        assert features.shape == (4, model.fc.in_features)
        torch.testing.assert_close(models.head(model)(features), model(images(4)))
    assert models.head(model) is model.fc


@pytest.mark.parametrize(
    ("name", "dimensions"), [("mobilenet_v3_small", 1024), ("squeezenet1_1", 512), ("vit_b_32", 768)]
)
def test_embed_of_torchvisions_classifiers(name, dimensions):
    model = semcont.build(name, classes=5, generator=seeded()).eval()
    with torch.no_grad():
        assert models.embed(model, images(2, 224 if name.startswith("vit") else 64)).shape == (2, dimensions)
    assert models.head(model).weight.shape[:2] == (5, dimensions)


def test_embed_leaves_no_hook_behind_even_after_an_error():
    model = semcont.build("resnet18-slim3", classes=5, width=8)
    with pytest.raises(RuntimeError):
        models.embed(model, images().double())
    models.embed(model, images())
    assert not model.fc._forward_pre_hooks


@pytest.mark.parametrize("name", ["resnet18-slim3", "squeezenet1_1", "vit_b_32"])
def test_a_new_head_changes_the_head_alone(name):
    model = semcont.build(name, classes=5, width=8, generator=seeded()).double()
    old, before = models.head(model), {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(3)
    random = torch.get_rng_state()
    assert models.replace_head(model, 7, seeded(1)) is model
    assert torch.equal(torch.get_rng_state(), random)
    new = models.head(model)
    assert new is not old and new.weight.shape[0] == 7 and new.weight.dtype == torch.float64 and type(new) is type(old)
    after = model.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k]) if before[k].shape == after[k].shape}
    assert not changed and sum(before[k].shape != after[k].shape for k in before) == 2, "weight and bias of the head"
    again = models.replace_head(semcont.build(name, classes=5, width=8, generator=seeded()), 7, seeded(1))
    assert torch.equal(models.head(again).weight.double(), new.weight)
    with torch.no_grad():
        assert model.eval()(images(1, 224 if name.startswith("vit") else 64).double()).shape == (1, 7)


def test_a_network_without_a_head():
    with pytest.raises(ValueError, match="Sequential has no linear"):
        models.head(nn.Sequential(nn.Conv2d(3, 8, 3)))


@pytest.mark.parametrize(
    ("name", "width", "shape"),
    [("resnet18-slim3", 8, (32, 8, 8)), ("resnet18", 8, (64, 4, 4)), ("mobilenet_v3_small", 64, (576, 2, 2))],
)
def test_the_last_stage_is_the_last_map(name, width, shape):
    model = semcont.build(name, classes=5, width=width).eval()
    seen = []
    models.last_stage(model).register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape[1:])))
    model(images(1, 64 if name.startswith("mobile") else 32))
    assert seen == [shape]


def test_a_network_without_a_known_last_stage():
    with pytest.raises(ValueError, match="pass the layer itself"):
        models.last_stage(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
