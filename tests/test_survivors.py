"""Which images survive: independent of the batch and of what left it; never more of them for a stronger attack."""

import pytest
import torch
from examples import images, labels, network

import semcont


@pytest.mark.parametrize("criterion", ["final", "any"])
@pytest.mark.parametrize("loss", ["ce", "kl"])
def test_survivors_depend_neither_on_the_batch_nor_on_what_left_it(criterion, loss):
    model, x = network(dtype=torch.float64), images(30, dtype=torch.float64)
    y = model.eval()(x).argmax(1)
    y[::7] = (y[::7] + 1) % 4  # some are wrong from the start
    settings = {
        "eps": 0.02,
        "step_size": 0.01,
        "steps": 2,
        "restarts": 3,
        "criterion": criterion,
        "loss": loss,
        "seed": 5,
    }
    whole = semcont.survivors(model, x, y, **settings)
    assert 3 < whole.sum() < 27
    for size in (1, 4, 29, 30, 1000):
        assert torch.equal(semcont.survivors(model, x, y, **settings, batch_size=size), whole)
    pieces = [semcont.survivors(model, x[k : k + 11], y[k : k + 11], **settings, first=k) for k in range(0, 30, 11)]
    assert torch.equal(torch.cat(pieces), whole)
    alone = torch.cat([semcont.survivors(model, x[[k]], y[[k]], **settings, first=k) for k in range(30)])
    assert torch.equal(alone, whole)


def test_any_is_at_least_as_strong_as_final_and_counts_x_itself():
    model, x, y = network(), images(60), labels(60)
    settings = {"eps": 0.03, "step_size": 0.02, "steps": 4}
    final, anywhere = (semcont.survivors(model, x, y, **settings, criterion=c) for c in ("final", "any"))
    right = model.eval()(x).argmax(1) == y
    assert not (anywhere & ~final).any() and not (anywhere & ~right).any()


def test_survivors_at_eps_zero_are_the_correct_ones():
    model, x, y = network(), images(60), labels(60)
    right = model.eval()(x).argmax(1) == y
    for criterion in ("final", "any"):
        assert torch.equal(
            semcont.survivors(model, x, y, eps=0, step_size=0, steps=3, restarts=2, criterion=criterion), right
        )


def test_the_seed_of_survivors_matters_and_is_kept():
    model, x = network(), images(200)
    y = model.eval()(x).argmax(1)
    settings = {"eps": 0.05, "step_size": 0.0, "steps": 1}
    found = [semcont.survivors(model, x, y, **settings, seed=s) for s in (0, 0, 1)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_every_restart_of_survivors_starts_anew():
    model, x = network(), images(200)
    y = model.eval()(x).argmax(1)
    settings = {"eps": 0.05, "step_size": 0.0, "steps": 1}
    left = [semcont.robust_accuracy(model, x, y, **settings, restarts=r) for r in (1, 3, 10)]
    assert left[0] > left[1] > left[2]


def test_eps_curve_is_survivors_at_each_radius():
    model, x = network(), images(60)
    y = model.eval()(x).argmax(1)
    radii = [0.0, 0.01, 0.05, 0.5]
    curve = semcont.eps_curve(model, x, y, eps=radii, steps=5, seed=3)
    assert curve.shape == (4, 60) and curve.dtype == torch.bool
    for row, eps in zip(curve, radii, strict=True):
        assert torch.equal(row, semcont.survivors(model, x, y, eps=eps, step_size=0.25 * eps, steps=5, seed=3))
    assert curve[0].all() and curve[-1].double().mean() < 0.2
