"""What must hold of an attack whatever the network, and what must be left as it was."""

import pytest
import torch
from examples import SHAPE, Linear, images, labels, network, seeded
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

import semcont
from semcont import attacks

# --- for any images and settings ----------------------------------------------------------------------------------

batches = arrays.arrays("float32", (3, *SHAPE), elements=st.floats(0, 1, width=32)).map(torch.from_numpy)
settings_of_attacks = st.fixed_dictionaries(
    {
        "eps": st.sampled_from([0.0, 1 / 255, 8 / 255, 0.3, 2.0]),
        "step_size": st.sampled_from([0.0, 2 / 255, 0.5, 10.0]),
        "steps": st.integers(0, 4),
        "norm": st.sampled_from(["linf", "l2"]),
        "loss": st.sampled_from(["ce", "margin", "dlr", "kl"]),
        "targeted": st.booleans(),
        "random_start": st.booleans(),
        "restarts": st.integers(1, 2),
    }
)


@given(x=batches, settings=settings_of_attacks, seed=st.integers(0, 3))
def test_stays_in_the_ball_and_in_the_box(x, settings, seed):
    found = semcont.pgd(network(seed), x, labels(3), **settings, generator=seeded(seed))
    delta = found - x
    size = delta.abs().flatten(1).amax(1) if settings["norm"] == "linf" else delta.flatten(1).norm(dim=1)
    assert (size <= settings["eps"] + 1e-6).all()
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1
    assert found.dtype == x.dtype and found.shape == x.shape and not found.requires_grad


@given(x=batches, settings=settings_of_attacks, seed=st.integers(0, 3))
def test_eps_zero_is_the_identity_bit_for_bit(x, settings, seed):
    settings["eps"] = 0.0
    assert torch.equal(semcont.pgd(network(seed), x, labels(3), **settings, generator=seeded(seed)), x)


@given(settings=settings_of_attacks, order=st.permutations(range(6)))
def test_permuting_the_batch_permutes_the_result(settings, order):
    settings |= {"random_start": False, "loss": "ce"}
    model, x, y = network(dtype=torch.float64), images(dtype=torch.float64), labels()
    found = semcont.pgd(model, x, y, **settings)
    permuted = semcont.pgd(model, x[list(order)], y[list(order)], **settings)
    torch.testing.assert_close(permuted, found[list(order)], rtol=0, atol=1e-9)


@given(settings=settings_of_attacks, seed=st.integers(0, 100))
def test_the_same_seed_gives_the_same_result(settings, seed):
    model, x, y = network(), images(), labels()
    assert torch.equal(
        semcont.pgd(model, x, y, **settings, generator=seeded(seed)),
        semcont.pgd(model, x, y, **settings, generator=seeded(seed)),
    )


def test_another_seed_gives_another_start():
    model, x, y = network(), images(), labels()
    for norm in ("linf", "l2"):
        one, two = (
            semcont.pgd(model, x, y, eps=0.1, step_size=0.1, steps=0, norm=norm, generator=seeded(s)) for s in (0, 1)
        )
        assert (one != two).flatten(1).any(1).all()


@given(seed=st.integers(0, 30), loss=st.sampled_from(["ce", "margin", "kl"]), norm=st.sampled_from(["linf", "l2"]))
def test_restarts_never_raise_accuracy(seed, loss, norm):
    model, x, y = network(seed % 3), images(40), labels(40)
    settings = {"eps": 0.03 if norm == "linf" else 0.15, "step_size": 0.01, "steps": 2, "loss": loss, "norm": norm}
    model.eval()
    standing = [
        model(semcont.pgd(model, x, y, **settings, restarts=r, generator=seeded(seed))).argmax(1) == y
        for r in (1, 2, 4)
    ]
    kept = [semcont.survivors(model, x, y, **settings, restarts=r, seed=seed) for r in (1, 2, 4)]
    for found in (standing, kept):
        assert not (found[1] & ~found[0]).any() and not (found[2] & ~found[1]).any(), "an image rose from the dead"


def test_among_survivors_of_all_restarts_the_highest_loss_wins():
    model, x = network(), images(40)
    y = model.eval()(x).argmax(1)
    settings = {"eps": 0.004, "step_size": 0.001, "steps": 1}
    source = seeded(5)
    single = torch.stack(
        [attacks.cross_entropy(model(semcont.pgd(model, x, y, **settings, generator=source)), y) for _ in range(3)]
    )
    best = semcont.pgd(model, x, y, **settings, restarts=3, generator=seeded(5))
    standing = model(best).argmax(1) == y
    assert standing.sum() > 10
    torch.testing.assert_close(attacks.cross_entropy(model(best), y)[standing], single.amax(0)[standing])


def test_among_targets_missed_the_lowest_loss_wins():
    model, x = network(), images(40)
    y = (model.eval()(x).argmax(1) + 1) % 4
    settings = {"eps": 0.004, "step_size": 0.001, "steps": 1, "targeted": True}
    source = seeded(5)
    single = torch.stack(
        [attacks.cross_entropy(model(semcont.pgd(model, x, y, **settings, generator=source)), y) for _ in range(3)]
    )
    best = semcont.pgd(model, x, y, **settings, restarts=3, generator=seeded(5))
    missed = model(best).argmax(1) != y
    assert missed.sum() > 10
    torch.testing.assert_close(attacks.cross_entropy(model(best), y)[missed], single.amin(0)[missed])


def test_random_starts_fill_the_ball():
    x, model, y = torch.full((2000, *SHAPE), 0.5), Linear(torch.ones(SHAPE)), torch.zeros(2000).long()
    start = semcont.pgd(model, x, y, eps=0.2, step_size=0.0, steps=0, generator=seeded()) - 0.5
    assert start.abs().max() <= 0.2 + 1e-6
    assert start.mean().abs() < 0.002 and start.std().item() == pytest.approx(0.2 / 3**0.5, rel=0.01)
    radius = (
        (semcont.pgd(model, x, y, eps=0.2, step_size=0.0, steps=0, norm="l2", generator=seeded()) - 0.5)
        .flatten(1)
        .norm(dim=1)
    )
    share = (radius / 0.2) ** 48  # uniform in [0, 1] where the start is uniform in a ball of 48 dimensions
    assert share.max() <= 1 + 1e-4 and share.mean().item() == pytest.approx(0.5, abs=0.03)


# --- nothing is left behind -------------------------------------------------------------------------------------------


def state_of(model: nn.Module) -> dict:
    return {
        "modes": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "weights": [p.detach().clone() for p in model.parameters()],
        "buffers": [b.clone() for b in model.buffers()],
        "random": torch.get_rng_state(),
    }


def same(one, two) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, list | dict):
        keys = one if isinstance(one, dict) else range(len(one))
        return len(one) == len(two) and all(same(one[k], two[k]) for k in keys)
    return one == two


def disturbed() -> nn.Module:
    """A network in a state that is easy to spoil: mixed modes, a frozen layer, a gradient from before."""
    model = network()
    model.train()
    model[3].eval()
    model[0].bias.requires_grad_(False)
    model(images()).sum().backward()
    return model


class Fails(nn.Module):
    def __init__(self, inner: nn.Module, after: int) -> None:
        super().__init__()
        self.inner, self.left = inner, after

    def forward(self, x):
        self.left -= 1
        torch.rand(3)
        if self.left < 0:
            raise RuntimeError("out of memory, say")
        return self.inner(x)


RUNS = {
    "pgd": lambda m: semcont.pgd(
        m, images(), labels(), eps=0.1, step_size=0.05, steps=3, restarts=2, generator=seeded()
    ),
    "kl": lambda m: semcont.pgd(m, images(), labels(), eps=0.1, step_size=0.05, steps=3, loss="kl", generator=seeded()),
    "final": lambda m: semcont.survivors(m, images(), labels(), eps=0.1, step_size=0.05, steps=3, restarts=2),
    "any": lambda m: semcont.survivors(
        m, images(), labels(), eps=0.001, step_size=0.05, steps=3, restarts=2, criterion="any"
    ),
    "curve": lambda m: semcont.eps_curve(m, images(), labels(), eps=[0.01, 0.1], steps=2),
}


@pytest.mark.parametrize("name", RUNS)
def test_everything_is_as_it_was(name):
    model = disturbed()
    before = state_of(model)
    RUNS[name](model)
    assert same(state_of(model), before)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_everything_is_as_it_was_after_an_exception_too(name, after):
    model = Fails(disturbed(), after)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="out of memory"):
        RUNS[name](model)
    assert same(state_of(model), before)


def test_without_a_generator_the_global_stream_is_used():
    model, x, y = network(), images(), labels()
    torch.manual_seed(11)
    one = semcont.pgd(model, x, y, eps=0.1, step_size=0.05, steps=2)
    two = semcont.pgd(model, x, y, eps=0.1, step_size=0.05, steps=2)
    torch.manual_seed(11)
    assert torch.equal(semcont.pgd(model, x, y, eps=0.1, step_size=0.05, steps=2), one) and not torch.equal(one, two)


def test_every_module_is_in_eval_mode_meanwhile():
    seen = []
    model = disturbed()
    model[1].register_forward_hook(
        lambda module, *_: seen.append((module.training, model[3].training, model[0].weight.requires_grad))
    )
    semcont.pgd(model, images(), labels(), eps=0.1, step_size=0.05, steps=3, generator=seeded())
    assert seen == [(False, False, False)] * 3


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
@pytest.mark.parametrize("criterion", ["final", "any"])
def test_an_attack_inside_no_grad_is_an_attack(context, criterion):
    """Evaluation code runs in such contexts; without a gradient the attack would stand still and fake robustness."""
    model, x, y = network(), images(40), labels(40)
    settings = {"eps": 0.05, "step_size": 0.02, "steps": 4}
    found, kept = (
        semcont.pgd(model, x, y, **settings, generator=seeded()),
        semcont.survivors(model, x, y, **settings, criterion=criterion),
    )
    with context():
        assert torch.equal(semcont.pgd(model, x, y, **settings, generator=seeded()), found)
        assert torch.equal(semcont.pgd(model, x.clone(), y.clone(), **settings, generator=seeded()), found)
        assert torch.equal(semcont.survivors(model, x.clone(), y.clone(), **settings, criterion=criterion), kept)


def test_x_is_neither_changed_nor_aliased():
    model, x, y = network(), images().requires_grad_(), labels()
    before = x.detach().clone()
    for settings in ({"steps": 2}, {"steps": 0}, {"steps": 0, "random_start": False}):
        found = semcont.pgd(model, x, y, eps=0.1, step_size=0.05, **settings, generator=seeded())
        assert not found.requires_grad
        found.zero_()
        assert torch.equal(x.detach(), before) and x.grad is None


# --- networks that are not well behaved -------------------------------------------------------------------------------


class Constant(nn.Module):
    def forward(self, x):
        return torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype).expand(len(x), 3)


class Noisy(nn.Module):
    def forward(self, x):
        return torch.randn(len(x), 3)


class Rooted(nn.Module):
    """A distance from grey whose gradient is infinity times zero at grey itself."""

    def forward(self, x):
        return torch.stack([((x - 0.25) ** 2).flatten(1).sum(1).sqrt() * k for k in (0.0, 1.0, 2.0)], 1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("model", [Constant(), Noisy()], ids=["constant", "random"])
def test_networks_without_a_gradient(model, norm):
    x, y = images(), labels(classes=3)
    found = semcont.pgd(
        model, x, y, eps=0.1, step_size=0.05, steps=3, norm=norm, random_start=False, generator=seeded()
    )
    assert torch.equal(found, x)
    found = semcont.pgd(model, x, y, eps=0.1, step_size=0.05, steps=3, norm=norm, restarts=2, generator=seeded())
    assert found.isfinite().all()
    kept = semcont.survivors(Constant(), x, y, eps=0.1, step_size=0.05, steps=3, norm=norm)
    assert torch.equal(kept, y == 0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_gradients_that_are_not_finite_do_not_reach_the_image(norm):
    x = torch.full((2, *SHAPE), 0.25)
    y = torch.tensor([1, 2])
    (gradient,) = torch.autograd.grad(Rooted()(leaf := x.clone().requires_grad_())[:, 1].sum(), leaf)
    assert gradient.isnan().any()
    found = semcont.pgd(Rooted(), x, y, eps=0.1, step_size=0.05, steps=3, norm=norm, random_start=False)
    assert found.isfinite().all() and (found - x).abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize("scale", [1e-25, 1e-10, 1.0, 1e10, 1e25])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_size_of_the_gradient_does_not_matter(scale, norm):
    """A step in L2 is as long for a vanishing gradient as for any other; else faint gradients would fake robustness."""
    w = torch.randn(SHAPE, generator=seeded(3))
    x = images() * 0.4 + 0.3
    settings = {
        "eps": 0.2,
        "step_size": 0.1,
        "steps": 1,
        "norm": norm,
        "loss": lambda z, y: -scale * z[:, 1],
        "random_start": False,
    }
    found = semcont.pgd(Linear(w), x, torch.ones(6).long(), **settings)
    expected = x - 0.1 * (w.sign() if norm == "linf" else w / w.norm())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("start", [True, False])
def test_the_dtype_is_kept(dtype, norm, start):
    model, x, y = network(dtype=dtype), images(dtype=torch.float32).to(dtype), labels()
    radius = torch.tensor(0.1, dtype=torch.float64) if norm == "l2" else torch.full((3, 1, 1), 0.1, dtype=torch.float64)
    for eps in (0.1, radius):
        found = semcont.pgd(
            model, x, y, eps=eps, step_size=0.05, steps=3, norm=norm, restarts=2, random_start=start, generator=seeded()
        )
        assert found.dtype == dtype and found.isfinite().all() and found.min() >= 0 and found.max() <= 1
        delta = (found - x).double()
        size = delta.abs().amax() if norm == "linf" else delta.flatten(1).norm(dim=1).max()
        assert 0.05 < size <= 0.1 + 8 * torch.finfo(dtype).eps
        assert torch.equal(
            semcont.pgd(
                model, x, y, eps=0 * eps, step_size=0.05, steps=3, norm=norm, random_start=start, generator=seeded()
            ),
            x,
        )
    assert semcont.survivors(model, x, y, eps=0.1, step_size=0.05, steps=1, norm=norm).dtype == torch.bool


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("start", [True, False])
def test_the_memory_layout_is_kept(norm, start):
    model, y = network().to(memory_format=torch.channels_last), labels()
    x = images().to(memory_format=torch.channels_last)
    settings = {"eps": 0.1, "step_size": 0.05, "steps": 3, "norm": norm, "restarts": 2, "random_start": start}
    found = semcont.pgd(model, x, y, **settings, generator=seeded())
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        found, semcont.pgd(model, x.contiguous(), y, **settings, generator=seeded()), rtol=0, atol=1e-5
    )
