"""Eqs. 1 to 5 in closed form, and every arm against a formula written down a second time."""

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import semcont
from semcont import losses
from semcont.training import Recipe

ATTACK = {"eps": 0.05, "step_size": 0.02, "steps": 2}
WEIGHTS = {"alpha": 0.7, "beta": 3.0, "squeeze": 0.05}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, dtype=torch.float64):
    return torch.rand(n, 3, 4, 4, generator=seeded(1), dtype=dtype), torch.randint(5, (n,), generator=seeded(2))


def plain_network(dtype=torch.float64) -> nn.Module:
    """Without BatchNorm: one forward pass of two images is two forward passes of one."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(128, 5)).to(dtype)
    model[-1].weight.data.mul_(4)
    return model


def batchnorm_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    ).double()


# --- Eqs. 1 and 2 -----------------------------------------------------------------------------------------------------


def test_eqs_1_and_2_in_closed_form():
    z, z_prime = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]]), torch.tensor([[2.0, -2.0, -1.5], [3.0, 0.0, 4.0]])
    assert torch.equal(semcont.logits_difference(z, z_prime), torch.tensor([[1.0, 0.0, -2.0], [3.0, 0.0, 4.0]]))
    assert torch.equal(semcont.distance_score(z, z_prime), torch.tensor([5.0, 25.0]))
    assert torch.equal(semcont.distance_score(z, z), torch.zeros(2))
    assert torch.equal(semcont.distance_score(z_prime, z), semcont.distance_score(z, z_prime))


def test_the_gradient_of_the_distance_score():
    z, z_prime = (torch.randn(4, 5, generator=seeded(s), dtype=torch.float64).requires_grad_() for s in (0, 1))
    semcont.distance_score(z, z_prime).sum().backward()
    torch.testing.assert_close(z_prime.grad, 2 * (z_prime - z).detach())
    torch.testing.assert_close(z.grad, -z_prime.grad)


def test_the_other_distances_against_torch():
    z, z_prime = (3 * torch.randn(6, 5, generator=seeded(s), dtype=torch.float64) for s in (0, 1))
    log_p, log_q = F.log_softmax(z, 1), F.log_softmax(z_prime, 1)
    torch.testing.assert_close(losses.kl(z, z_prime), F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1))
    torch.testing.assert_close(
        losses.cross_entropy_to(z, z_prime), F.cross_entropy(z_prime, log_p.exp(), reduction="none")
    )
    torch.testing.assert_close(losses.squared_norm(z), z.norm(dim=1) ** 2)
    entropy = -(log_p.exp() * log_p).sum(1)
    torch.testing.assert_close(losses.cross_entropy_to(z, z_prime), losses.kl(z, z_prime) + entropy)
    torch.testing.assert_close(losses.kl(z, z), torch.zeros(6, dtype=torch.float64))


def test_logits_far_apart_stay_finite():
    z = torch.tensor([[1e4, -1e4, 0.0]])
    for distance in losses.DISTANCES.values():
        assert distance(z, z.flip(1)).isfinite().all()


def test_distances_of_different_shapes_are_refused():
    with pytest.raises(jaxtyping.TypeCheckError, match="logits_prime"):
        semcont.distance_score(torch.zeros(4, 5), torch.zeros(1, 5))


# --- the arms ---------------------------------------------------------------------------------------------------------


def perturbed(kind: str, model: nn.Module, x, y, attack_loss: str) -> torch.Tensor:
    if kind == "photometric":
        return semcont.RandomPhotometric(1)(x, seeded(9))
    if kind == "gaussian":
        return (x + 0.04 * torch.randn(x.shape, generator=seeded(9), dtype=x.dtype)).clamp(0, 1)
    return semcont.pgd(model, x, y, **ATTACK, loss=attack_loss, generator=seeded(9))


def log_p(z):
    return z - z.logsumexp(1, keepdim=True)


def ce(z, y):
    return -log_p(z)[torch.arange(len(y)), y].mean()


FORMULAS = {  # P, the attack's loss, L from logits of x and of x' and labels
    "base": ("none", "", lambda z, q, y: ce(z, y)),
    "c": ("photometric", "", lambda z, q, y: ce(z, y) + 0.7 * ((z - q) ** 2).sum(1).mean()),
    "adv": ("pgd", "ce", lambda z, q, y: (ce(z, y) + ce(q, y)) / 2),
    "adv+c": ("pgd", "ce", lambda z, q, y: (ce(z, y) + ce(q, y)) / 2 + 0.7 * ((z - q) ** 2).sum(1).mean()),
    "aug": ("photometric", "", lambda z, q, y: (ce(z, y) + ce(q, y)) / 2),
    "aug+c": ("photometric", "", lambda z, q, y: (ce(z, y) + ce(q, y)) / 2 + 0.7 * ((z - q) ** 2).sum(1).mean()),
    "madry": ("pgd", "ce", lambda z, q, y: ce(q, y)),
    "madry+c": ("pgd", "ce", lambda z, q, y: ce(q, y) + 0.7 * ((z - q) ** 2).sum(1).mean()),
    "noise+c": ("gaussian", "", lambda z, q, y: ce(z, y) - 0.7 * (log_p(z).exp() * log_p(q)).sum(1).mean()),
    "trades": ("pgd", "kl", lambda z, q, y: ce(z, y) + 3.0 * (log_p(z).exp() * (log_p(z) - log_p(q))).sum(1).mean()),
    "squeeze": ("none", "", lambda z, q, y: ce(z, y) + 0.05 * (z**2).sum(1).mean()),
}


def test_the_formulas_below_cover_every_arm():
    assert list(FORMULAS) == list(semcont.ARMS)


@pytest.mark.parametrize("network", [plain_network, batchnorm_network])
@pytest.mark.parametrize("arm", FORMULAS)
def test_every_arm_against_its_formula(arm, network):
    """The loss and its gradient, with one concatenated forward pass of [x; x'] wherever both are needed."""
    x, y = batch()
    model = network()
    model.train()
    found = semcont.Objective(arm, attack=ATTACK, **WEIGHTS)(model, x, y, seeded(9))
    found.loss.backward()
    kind, attack_loss, formula = FORMULAS[arm]
    other = network()
    other.train()
    x_prime = None if kind == "none" else perturbed(kind, other, x, y, attack_loss)
    if arm == "madry":
        z, q = None, other(x_prime)
    elif x_prime is None:
        z, q = other(x), None
    else:
        z, q = other(torch.cat([x, x_prime])).split(len(x))
    expected = formula(z, q, y)
    expected.backward()
    torch.testing.assert_close(found.loss, expected, rtol=1e-12, atol=1e-12)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-12)
    for one, two in zip(model.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two)


class Counting(nn.Module):
    """Notes the size of every forward pass that training makes; the attack's own passes are in eval mode."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.passes = inner, []

    def forward(self, x):
        if self.training:
            self.passes.append(len(x))
        return self.inner(x)


@pytest.mark.parametrize(
    ("arm", "settings", "passes"),
    [
        ("base", {}, [6]),
        ("squeeze", {}, [6]),
        ("c", {}, [12]),
        ("adv", {}, [12]),
        ("madry", {}, [6]),
        ("madry+c", {}, [12]),
        ("c", {"alpha": 0}, [6]),
        ("noise+c", {"alpha": 0}, [6]),
        ("trades", {"beta": 0}, [6]),
        ("squeeze", {"squeeze": 0}, [6]),
        ("aug+c", {"alpha": 0}, [12]),
        ("madry+c", {"alpha": 0}, [6]),
        ("c", {"alpha": 0, "forward_both": True}, [12]),
        ("madry", {"forward_both": True}, [12]),
        ("base", {"forward_both": True}, [6]),
    ],
)
def test_nothing_is_forwarded_that_is_not_needed(arm, settings, passes):
    x, y = batch()
    model = Counting(plain_network())
    semcont.Objective(arm, attack=ATTACK, **settings)(model, x, y, seeded())
    assert model.passes == passes


def test_where_x_prime_is_not_needed_nothing_is_drawn():
    x, y = batch()
    for arm, weight in (("base", {}), ("c", {"alpha": 0}), ("trades", {"beta": 0}), ("squeeze", {})):
        generator = seeded(4)
        semcont.Objective(arm, attack=ATTACK, **weight)(plain_network(), x, y, generator)
        assert torch.equal(generator.get_state(), seeded(4).get_state()), arm


def test_the_parts_are_told_and_those_not_made_are_none():
    x, y = batch()
    terms = semcont.Objective("adv+c", attack=ATTACK, alpha=0.7)(plain_network(), x, y, seeded())
    torch.testing.assert_close(terms.loss, 0.5 * terms.ce + 0.5 * terms.ce_prime + 0.7 * terms.distance)
    assert terms.logits.shape == (6, 5)
    terms = semcont.Objective("madry", attack=ATTACK)(plain_network(), x, y, seeded())
    assert (
        terms.ce is None and terms.distance is None and terms.logits is None and torch.equal(terms.loss, terms.ce_prime)
    )
    terms = semcont.Objective("base")(plain_network(), x, y)
    assert terms.ce_prime is None and torch.equal(terms.loss, terms.ce)


PLAIN = {
    "c": ("alpha", "base"),
    "noise+c": ("alpha", "base"),
    "trades": ("beta", "base"),
    "squeeze": ("squeeze", "base"),
    "adv+c": ("alpha", "adv"),
    "aug+c": ("alpha", "aug"),
    "madry+c": ("alpha", "madry"),
}


def trained_weights(arm: str, **settings) -> dict[str, torch.Tensor]:
    x, y = batch(20, torch.float32)
    data = semcont.ImageSet("t", (255 * x).to(torch.uint8), y, tuple("abcde"))
    model = semcont.build("resnet18-slim3", classes=5, width=4, stem="cifar-stride2", generator=seeded())
    semcont.fit(model, data, semcont.Objective(arm, attack=ATTACK, **settings), Recipe(epochs=2, batch_size=8), seed=0)
    return model.state_dict()


@pytest.mark.parametrize("arm", PLAIN)
def test_an_arm_without_its_third_term_is_its_plain_arm_bit_for_bit(arm):
    weight, plain = PLAIN[arm]
    assert losses.plain_arm(arm) == plain and losses.plain_arm(plain) == plain
    one, two, with_term = (
        trained_weights(arm, **{weight: 0}),
        trained_weights(plain),
        trained_weights(arm, **{weight: 0.5}),
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], with_term[name]) for name in one)


def test_forward_both_moves_batchnorm_and_nothing_in_the_loss():
    x, y = batch()
    models = [batchnorm_network() for _ in range(2)]
    for model, both in zip(models, (False, True), strict=True):
        semcont.Objective("c", alpha=0, forward_both=both)(model.train(), x, y, seeded())
    assert not torch.equal(models[0][1].running_mean, models[1][1].running_mean)
    one, two = (
        semcont.Objective("c", alpha=0, forward_both=both)(plain_network(), x, y, seeded()).loss
        for both in (False, True)
    )
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("arm", ["c", "adv+c", "aug+c", "madry+c", "noise+c", "trades"])
def test_detach_stops_the_gradient_through_x_alone(arm):
    x, y = batch()
    model, other = plain_network(), plain_network()
    found = semcont.Objective(arm, attack=ATTACK, detach=True, **WEIGHTS)(model, x, y, seeded(9))
    found.loss.backward()
    kind, attack_loss, _ = FORMULAS[arm]
    z, q = other(x), other(perturbed(kind, other, x, y, attack_loss))
    both = FORMULAS[arm][2](z, q, y)
    cross_entropies = both - FORMULAS[arm][2](z.detach(), q.detach(), y) + 0  # same gradient; the value does not matter
    distance = losses.DISTANCES[semcont.ARMS[arm].distance](z.detach(), q).mean()
    through_x = losses.DISTANCES[semcont.ARMS[arm].distance](z, q.detach()).mean()
    weight = WEIGHTS[semcont.ARMS[arm].weight]
    (cross_entropies - weight * through_x).backward()
    assert distance.item() == pytest.approx(found.distance.item())
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-8, atol=1e-10)


def test_reduction_mean_divides_by_the_logits():
    x, y = batch()
    summed, meant = (
        semcont.Objective("c", alpha=1.0, reduction=r)(plain_network(), x, y, seeded()) for r in ("sum", "mean")
    )
    torch.testing.assert_close(meant.distance, summed.distance / 5)
    torch.testing.assert_close(meant.loss - meant.ce, (summed.loss - summed.ce) / 5)


def test_settings_of_p_reach_p():
    x = torch.rand(200, 3, 4, 4, generator=seeded(), dtype=torch.float64)
    y = torch.zeros(200).long()
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.flatten(1)[:, :5]

    for settings in ({"level": 1}, {"level": 4}, {"level": 4, "use_hue": False}):
        semcont.Objective("c", **settings)(Spy(), x, y, seeded(3))
        expected = semcont.RandomPhotometric(settings["level"], hue=settings.get("use_hue", True))(x, seeded(3))
        assert torch.equal(seen[-1][200:], expected) and torch.equal(seen[-1][:200], x)
    semcont.Objective("noise+c", sigma=0.3)(Spy(), x, y, seeded(3))
    assert torch.equal(seen[-1][200:], semcont.GaussianNoise(0.3)(x, seeded(3)))


# --- the term for other people's loops --------------------------------------------------------------------------------


def test_three_lines_are_the_objective_without_batchnorm():
    x, y = batch()
    model, other = plain_network(), plain_network()
    continuity = semcont.ContinuityLoss(semcont.RandomPhotometric(), alpha=0.7)
    loss = F.cross_entropy(logits := model(x), y) + continuity(model, x, logits=logits, generator=seeded(5))
    loss.backward()
    expected = semcont.Objective("c", alpha=0.7)(other, x, y, seeded(5)).loss
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-12)


def test_three_lines_with_an_attack():
    x, y = batch()
    model = plain_network()
    x_prime = semcont.pgd(model, x, y, **ATTACK, generator=seeded(5))
    term = semcont.ContinuityLoss(None, alpha=0.7)(model, x, x_prime=x_prime)
    expected = semcont.Objective("madry+c", attack=ATTACK, alpha=0.7)(model, x, y, seeded(5))
    torch.testing.assert_close(term, 0.7 * expected.distance)


def test_with_batchnorm_the_three_lines_update_it_twice():
    x, y = batch()
    model = batchnorm_network().train()
    continuity = semcont.ContinuityLoss(semcont.RandomPhotometric())
    continuity(model, x, logits=model(x), generator=seeded())
    assert model[1].num_batches_tracked == 2
    once = batchnorm_network().train()
    semcont.Objective("c")(once, x, y, seeded())
    assert once[1].num_batches_tracked == 1


def test_without_logits_the_term_forwards_x_itself():
    x, _ = batch()
    model = plain_network()
    continuity = semcont.ContinuityLoss(semcont.RandomPhotometric(), alpha=2.0)
    given = continuity(model, x, logits=model(x), generator=seeded())
    assert torch.equal(continuity(model, x, generator=seeded()), given)
    torch.manual_seed(0)
    torch.testing.assert_close(continuity(model, x), given)  # without a generator, torch's own


@pytest.mark.parametrize("distance", ["squared_l2", "cross_entropy", "kl", "squared_norm"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_options_of_the_term(distance, detach, reduction):
    x, _ = batch()
    model = plain_network()
    x_prime = semcont.RandomPhotometric()(x, seeded())
    term = semcont.ContinuityLoss(None, 0.3, reduction=reduction, distance=distance, detach=detach)(
        model, x, x_prime=x_prime
    )
    values = losses.DISTANCES[distance](model(x), model(x_prime))
    torch.testing.assert_close(term, 0.3 * values.mean() / (5 if reduction == "mean" else 1))


@pytest.mark.parametrize("distance", ["squared_l2", "cross_entropy", "kl"])
def test_the_term_pulls_at_x_unless_it_is_detached(distance):
    x, _ = batch()
    model = plain_network()
    logits = model(x).detach().requires_grad_()
    for detach in (False, True):
        term = semcont.ContinuityLoss(None, distance=distance, detach=detach)(model, x, logits, x.flip(3))
        (gradient,) = torch.autograd.grad(term, logits, allow_unused=True)
        assert gradient is None if detach else gradient.abs().sum() > 0


def test_alpha_zero_costs_no_forward_pass_and_is_zero():
    x, _ = batch()
    model = Counting(plain_network())
    term = semcont.ContinuityLoss(semcont.RandomPhotometric(), alpha=0.0)(model, x)
    assert model.passes == [] and term == 0 and term.shape == () and term.dtype == x.dtype


def test_a_plain_function_can_be_p():
    x, _ = batch()
    model = plain_network()
    term = semcont.ContinuityLoss(lambda x: x.flip(3), alpha=1.0)(model, x)
    torch.testing.assert_close(term, semcont.distance_score(model(x), model(x.flip(3))).mean())
