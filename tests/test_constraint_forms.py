"""The constraint in other forms: another distance than DS, and two passes through BatchNorm in place of one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import semcont
from semcont import losses

ATTACK = {"eps": 0.05, "step_size": 0.02, "steps": 2}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(n, 3, 4, 4, generator=seeded(1), dtype=torch.float64), torch.randint(5, (n,), generator=seeded(2))


def network(normalise: bool) -> nn.Module:
    torch.manual_seed(3)
    middle = nn.BatchNorm2d(8) if normalise else nn.Tanh()
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), middle, nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)).double()


def test_the_cosine_distance_sees_neither_scale_nor_shift():
    z, z_prime = (torch.randn(5, 4, generator=seeded(s), dtype=torch.float64) for s in (0, 1))
    zero = torch.zeros(5, dtype=torch.float64)
    torch.testing.assert_close(losses.cosine_distance(z, 3 * z + 7), zero, atol=1e-12, rtol=0)
    torch.testing.assert_close(losses.cosine_distance(z, -2 * z), zero + 2)
    found = [1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z, z_prime, strict=True)]
    torch.testing.assert_close(losses.cosine_distance(z, z_prime), torch.stack(found))


@pytest.mark.parametrize(("distance", "function"), [("cosine", losses.cosine_distance), ("kl", losses.kl)])
def test_another_distance_takes_the_place_of_ds(distance, function):
    x, y = batch()
    model = network(False)
    found = semcont.Objective("c", alpha=0.7, distance=distance)(model, x, y, seeded(9)).loss
    z, q = model(x), model(semcont.RandomPhotometric(1)(x, seeded(9)))
    torch.testing.assert_close(found, F.cross_entropy(z, y) + 0.7 * function(z, q).mean())


@pytest.mark.parametrize("arm", ["trades", "noise+c", "squeeze"])
def test_arms_with_a_term_of_their_own_keep_it(arm):
    x, y = batch()
    one, two = (
        semcont.Objective(arm, attack=ATTACK, distance=d)(network(False), x, y, seeded(9)).loss
        for d in ("l2", "cosine")
    )
    assert torch.equal(one, two)


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="l2"):
        semcont.Objective("c", distance="l1")


def test_two_passes_update_batchnorm_twice_and_normalise_each_by_itself():
    x, y = batch()
    model, other = network(True).train(), network(True).train()
    found = semcont.Objective("c", alpha=0.7, two_pass=True)(model, x, y, seeded(9)).loss
    z = other(x)
    q = other(semcont.RandomPhotometric(1)(x, seeded(9)))
    torch.testing.assert_close(found, F.cross_entropy(z, y) + 0.7 * ((z - q) ** 2).sum(1).mean())
    assert model[1].num_batches_tracked == 2
    torch.testing.assert_close(model[1].running_mean, other[1].running_mean)
    one_pass = network(True).train()
    assert not torch.isclose(semcont.Objective("c", alpha=0.7)(one_pass, x, y, seeded(9)).loss, found, rtol=1e-6)
    plain = [semcont.Objective("c", two_pass=t)(network(False), x, y, seeded(9)).loss for t in (True, False)]
    torch.testing.assert_close(*plain)  # without BatchNorm the two are the same
