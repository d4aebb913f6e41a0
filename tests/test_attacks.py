"""PGD against what is known in closed form and against a second implementation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from examples import SHAPE, Linear, images, labels, network, seeded
from torch import nn

import semcont
from semcont import attacks

# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_linear_model_linf_away_from_the_borders(label, random_start, loss):
    w = torch.randn(SHAPE, generator=seeded(3), dtype=torch.float64)
    x = images(dtype=torch.float64) * 0.4 + 0.3
    y = torch.full((6,), label)
    eps = 0.1
    found = semcont.pgd(
        Linear(w), x, y, eps=eps, step_size=0.06, steps=5, loss=loss, random_start=random_start, generator=seeded()
    )
    worst = x - eps * w.sign() * (1 if label == 1 else -1)
    torch.testing.assert_close(found, worst, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.5, 1.5), None])
def test_linear_model_linf_is_clipped_at_the_borders(bounds):
    w = torch.randn(SHAPE, generator=seeded(3), dtype=torch.float64)
    x = images(dtype=torch.float64).round(decimals=1)  # some pixels at 0 and at 1
    assert (x == 0).any() and (x == 1).any()
    found = semcont.pgd(
        Linear(w), x, torch.ones(6).long(), eps=0.3, step_size=0.2, steps=8, bounds=bounds, generator=seeded()
    )
    worst = x - 0.3 * w.sign()
    torch.testing.assert_close(found, worst if bounds is None else worst.clamp(*bounds), rtol=0, atol=1e-12)


def test_linear_model_survival_has_a_closed_form():
    """w.x - eps ||w||_1 > 0 decides; an attack that stopped short would leave more images standing."""
    w = torch.randn(SHAPE, generator=seeded(3), dtype=torch.float64)
    x = images(400, dtype=torch.float64) * 0.4 + 0.3
    score = x.flatten(1) @ w.flatten()
    model = Linear(w, -float(score.median()))
    eps = 1.0001 * float((score - score.median()).abs().median() / w.abs().sum())
    assert eps < 0.3
    y = model(x).argmax(1)
    standing = (score - score.median()).abs() > eps * w.abs().sum()
    for criterion in ("final", "any"):
        found = semcont.survivors(model, x, y, eps=eps, step_size=eps / 2, steps=6, criterion=criterion)
        assert torch.equal(found, standing)
    assert 0.4 < standing.double().mean() < 0.6
    assert semcont.robust_accuracy(model, x, y, eps=eps, step_size=eps / 2, steps=6) == standing.double().mean().item()


@pytest.mark.parametrize("random_start", [True, False])
def test_linear_model_l2(random_start):
    w = torch.randn(SHAPE, generator=seeded(3), dtype=torch.float64)
    x = images(dtype=torch.float64) * 0.4 + 0.3
    settings = {
        "eps": 0.2,
        "step_size": 0.1,
        "steps": 400 if random_start else 3,
        "norm": "l2",
        "random_start": random_start,
    }
    found = semcont.pgd(Linear(w), x, torch.ones(6).long(), **settings, generator=seeded())
    torch.testing.assert_close(found, x - 0.2 * w / w.norm(), rtol=0, atol=1e-9)


def test_targeted_goes_the_other_way():
    w = torch.randn(SHAPE, generator=seeded(3), dtype=torch.float64)
    x = images(dtype=torch.float64) * 0.4 + 0.3
    settings = {"eps": 0.1, "step_size": 0.06, "steps": 5, "random_start": False}
    away = semcont.pgd(Linear(w), x, torch.ones(6).long(), **settings)
    towards = semcont.pgd(Linear(w), x, torch.zeros(6).long(), **settings, targeted=True)
    assert torch.equal(away, towards)


def test_targeted_reaches_its_target():
    model, x = network(), images(40)
    target = labels(40)
    before = (model.eval()(x).argmax(1) == target).double().mean()
    found = semcont.pgd(model, x, target, eps=0.3, step_size=0.05, steps=20, targeted=True, generator=seeded())
    once = (model(found).argmax(1) == target).double().mean()
    found = semcont.pgd(
        model, x, target, eps=0.3, step_size=0.05, steps=20, targeted=True, restarts=4, generator=seeded()
    )
    assert before < 0.5 < 0.9 < once <= (model(found).argmax(1) == target).double().mean()


def test_a_radius_per_channel_is_one_radius_in_pixel_space():
    """In space (x - mean) / std, eps / std with no box but the one around the pixels is eps in pixels."""
    mean, std = (
        torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1).double(),
        torch.tensor([0.1, 0.2, 0.4]).view(3, 1, 1).double(),
    )
    model = network(dtype=torch.float64)
    inner = copy.deepcopy(model)
    x = images(dtype=torch.float64) * 0.6 + 0.2
    pixels = semcont.pgd(model, x, labels(), eps=0.05, step_size=0.02, steps=7, random_start=False)
    outer = nn.Sequential(Affine(std, mean), inner)
    settings = {"eps": (0.05 / std).float(), "step_size": 0.02 / std, "steps": 7, "random_start": False, "bounds": None}
    normalised = semcont.pgd(outer, (x - mean) / std, labels(), **settings)
    assert (normalised < 0).any()
    torch.testing.assert_close(normalised * std + mean, pixels, rtol=0, atol=1e-7)


class Affine(nn.Module):
    def __init__(self, factor, shift) -> None:
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, x):
        return x * self.factor + self.shift


# --- a second implementation ------------------------------------------------------------------------------------------


def by_hand(model, x, y, start, *, eps, step_size, steps, loss) -> torch.Tensor:
    """PGD as one writes it down: image by image, pixel by pixel clamps, gradient of the batch's own loss."""
    model = copy.deepcopy(model).eval()
    results = []
    for image, label, adv in zip(x, y, start, strict=True):
        for _ in range(steps):
            leaf = adv.clone().requires_grad_(True)
            z = model(leaf[None])[0]
            others = torch.cat([z[:label], z[label + 1 :]])
            top = z.sort(descending=True).values
            value = {
                "ce": z.logsumexp(0) - z[label],
                "margin": others.max() - z[label],
                "dlr": (others.max() - z[label]) / (top[0] - top[2]),
            }[loss]
            value.backward()
            delta = (adv + step_size * leaf.grad.sign() - image).clamp(-eps, eps)
            adv = (image + delta).clamp(0, 1)
        results.append(adv)
    return torch.stack(results)


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_parity_step_by_step_in_float64(loss, steps):
    model, x, y = network(dtype=torch.float64), images(dtype=torch.float64), labels()
    settings = {"eps": 0.06, "step_size": 0.017, "steps": steps, "loss": loss}
    found = semcont.pgd(model, x, y, **settings, random_start=False)
    torch.testing.assert_close(found, by_hand(model, x, y, x, **settings), rtol=0, atol=1e-12)


def test_parity_from_a_shared_random_start():
    model, x, y = network(dtype=torch.float64), images(dtype=torch.float64), labels()
    start = semcont.pgd(model, x, y, eps=0.06, step_size=0.017, steps=0, generator=seeded(7))
    uniform = torch.rand(x.shape, generator=seeded(7), dtype=torch.float64)
    torch.testing.assert_close(start, (x + 0.06 * (2 * uniform - 1)).clamp(0, 1), rtol=0, atol=1e-12)
    found = semcont.pgd(model, x, y, eps=0.06, step_size=0.017, steps=5, generator=seeded(7))
    torch.testing.assert_close(
        found, by_hand(model, x, y, start, eps=0.06, step_size=0.017, steps=5, loss="ce"), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("name", ["ce", "margin", "dlr"])
def test_losses_by_their_definitions(name):
    z, y = torch.randn(50, 5, generator=seeded(), dtype=torch.float64), labels(50, 5)
    for value, row, label in zip(attacks.LOSSES[name](z, y), z.tolist(), y.tolist(), strict=True):
        others = max(row[:label] + row[label + 1 :])
        top = sorted(row, reverse=True)
        expected = {
            "ce": torch.tensor(row, dtype=torch.float64).logsumexp(0).item() - row[label],
            "margin": others - row[label],
            "dlr": (others - row[label]) / (top[0] - top[2]),
        }[name]
        assert value.item() == pytest.approx(expected, abs=1e-9)


def test_margin_is_positive_exactly_where_the_network_errs():
    z, y = torch.randn(200, 5, generator=seeded()), labels(200, 5)
    assert torch.equal(attacks.margin(z, y) > 0, z.argmax(1) != y)


def test_dlr_is_free_of_scale_and_needs_three_classes():
    z, y = torch.randn(20, 5, generator=seeded(), dtype=torch.float64), labels(20, 5)
    torch.testing.assert_close(attacks.dlr(1e4 * z, y), attacks.dlr(z, y))
    with pytest.raises(ValueError, match="at least three classes, not 2"):
        semcont.pgd(network(classes=2), images(), labels(classes=2), eps=0.1, step_size=0.1, steps=1, loss="dlr")


def test_kl_starts_beside_x_and_raises_the_divergence():
    model, x, y = network(), images(), labels()
    start = semcont.pgd(model, x, y, eps=0.06, step_size=0.02, steps=0, loss="kl", generator=seeded())
    moved = (start - x)[(x > 0.01) & (x < 0.99)]
    assert 0 < moved.abs().max() < 0.006 and moved.std().item() == pytest.approx(0.001, rel=0.2)
    settings = {"eps": 0.06, "step_size": 0.02, "steps": 10, "loss": "kl", "generator": seeded()}
    found = semcont.pgd(model, x, y, **settings)
    other = semcont.pgd(model, x, (y + 1) % 4, **settings | {"generator": seeded()})
    assert torch.equal(found, other), "the labels do not matter to kl"
    with torch.no_grad():
        p, q, r = (model.eval()(v).log_softmax(1) for v in (x, found, start))
    assert (
        F.kl_div(q, p, reduction="none", log_target=True).sum(1)
        > 10 * F.kl_div(r, p, reduction="none", log_target=True).sum(1)
    ).all()


def test_a_function_as_loss():
    model, x, y = network(), images(), labels()
    settings = {"eps": 0.06, "step_size": 0.02, "steps": 6}
    own = semcont.pgd(
        model, x, y, **settings, loss=lambda z, y: F.cross_entropy(z, y, reduction="none"), generator=seeded()
    )
    assert torch.equal(own, semcont.pgd(model, x, y, **settings, loss="ce", generator=seeded()))
    assert not torch.equal(own, semcont.pgd(model, x, y, **settings, loss="margin", generator=seeded()))


def test_pgd_held_in_an_object_is_pgd():
    model, x, y = network(), images(), labels()
    settings = {"eps": 0.06, "step_size": 0.02, "steps": 6}
    assert torch.equal(
        semcont.PGD(**settings)(model, x, y, seeded()), semcont.pgd(model, x, y, **settings, generator=seeded())
    )


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, pytest.param(torch.uint8, marks=pytest.mark.unhooked)])
def test_labels_of_any_integer_type(dtype):
    model, x, y = network(), images(), labels()
    for loss in ("ce", "margin"):
        settings = {"eps": 0.06, "step_size": 0.02, "steps": 3, "loss": loss}
        assert torch.equal(
            semcont.pgd(model, x, y.to(dtype), **settings, generator=seeded()),
            semcont.pgd(model, x, y, **settings, generator=seeded()),
        )
        assert torch.equal(
            semcont.survivors(model, x, y.to(dtype), **settings), semcont.survivors(model, x, y, **settings)
        )


# --- losses without a scale -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale, shift", [(1e-6, 0.0), (100.0, -7.0), (1e6, 3.0)])
def test_the_rescaled_loss_knows_neither_scale_nor_shift(scale, shift):
    z, y = torch.randn(20, 7, generator=seeded(), dtype=torch.float64), labels(20, 7)
    torch.testing.assert_close(attacks.rescaled(scale * z + shift, y), attacks.rescaled(z, y))
    unit = (z - z.mean(1, keepdim=True)) / z.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(attacks.rescaled(z, y), F.cross_entropy(unit, y, reduction="none"))


def test_the_rescaled_loss_has_a_gradient_where_the_cross_entropy_has_none():
    z = (1e30 * torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 0.5]])).requires_grad_()
    y = torch.tensor([0, 1])
    (saturated,) = torch.autograd.grad(attacks.cross_entropy(z, y).sum(), z)
    (found,) = torch.autograd.grad(attacks.rescaled(z, y).sum(), z)
    assert (saturated == 0).all()
    assert (found.gather(1, y.view(-1, 1)) < 0).all() and (found.sum(1).abs() < 1e-35).all()
    assert found.isfinite().all() and (found > 0).sum() == 4


def test_the_rescaled_loss_is_finite_where_all_logits_agree():
    z = torch.full((2, 4), 5.0, requires_grad=True)
    value = attacks.rescaled(z, torch.tensor([0, 3]))
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert value.isfinite().all() and not gradient.isnan().any()


def test_pgd_on_the_rescaled_loss_breaks_a_network_that_saturates():
    w = torch.randn(SHAPE, generator=seeded(3))
    x = images(40) * 0.4 + 0.3
    model = Linear(1e6 * w, -1e6 * float((x.flatten(1) @ w.flatten()).median()))
    y = model(x).argmax(1)
    settings = {"eps": 0.1, "step_size": 0.05, "steps": 5, "random_start": False}
    assert semcont.robust_accuracy(model, x, y, **settings) > 0.95
    assert semcont.robust_accuracy(model, x, y, **settings, loss="rescaled") < 0.3


def test_withstood_counts_the_restarts_that_survivors_asks_for():
    model, x = network(), images(40)
    y = model.eval()(x).argmax(1)
    settings = {"eps": 0.02, "step_size": 0.02, "steps": 1, "criterion": "any"}
    count = attacks.withstood(model, x, y, restarts=4, **settings)
    assert len(set(count.tolist())) > 1 and count.max() <= 4
    for restarts in (1, 2, 4):
        assert torch.equal(count >= restarts, semcont.survivors(model, x, y, restarts=restarts, **settings))
