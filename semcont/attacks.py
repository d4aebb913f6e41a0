"""Projected gradient descent (Madry et al. 2018) and what is measured with it.

The paper attacks with PGD (sections 4.1 and 4.4; it cites Carlini & Wagner for it): sign steps on the cross-entropy
inside an L-infinity ball of radius eps around x, from a random start, judged at the final iterate.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from ._checks import check_choice, check_count, check_images, check_labels
from ._draws import Source, draw
from .attack_losses import LOSSES, Loss, cross_entropy, dlr, margin, rescaled  # noqa: F401  public here as well

NORMS = ("linf", "l2")


def pgd(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    *,
    eps: float | Tensor,
    step_size: float | Tensor,
    steps: int,
    norm: str = "linf",
    loss: str | Loss = "ce",
    targeted: bool = False,
    random_start: bool = True,
    restarts: int = 1,
    generator: Source = None,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Float[Tensor, "n 3 h w"]:
    """x' within `eps` of x and within `bounds` that the network gets wrong, if projected gradient steps find one.

    L-inf: x' <- clip(x' + step_size * sign(grad), x - eps, x + eps); L2: a step of that length along the gradient,
    then the projection onto the ball; then into the box. `eps` and `step_size` are in the units of x (8/255, not 8),
    numbers or tensors that broadcast over x (L-inf only). `loss` is one of `LOSSES`, "kl" (from the clean
    prediction; starts at x + 0.001 N(0, 1), where its gradient is not zero) or a function of (logits, labels).
    `targeted` moves towards class y. Over restarts a misclassified final iterate wins, else the highest loss.
    `bounds=None` lifts the box and its check, for images in normalised space.

    The result is detached, has the dtype of x, and is x itself, bit for bit, at eps 0. Every module is in eval mode
    meanwhile; modes, `requires_grad`, gradients and buffers are as before afterwards, and so is torch's global random
    state where a `generator` is given. Raises `ValueError` for images outside the box, integer or NaN images, a wrong
    rank, labels out of range, a negative eps.
    """
    check_images(x, bounds)
    check_labels(y, len(x))
    attack = PGD(eps, step_size, steps, norm, loss, targeted, random_start, restarts, bounds)
    return attack(model, x, y.long(), generator)


class PGD:
    """`pgd` with its settings held: the P of Eq. 3 in adversarial training. Calls do not check the images again."""

    def __init__(
        self,
        eps: float | Tensor,
        step_size: float | Tensor,
        steps: int,
        norm: str = "linf",
        loss: str | Loss = "ce",
        targeted: bool = False,
        random_start: bool = True,
        restarts: int = 1,
        bounds: tuple[float, float] | None = (0.0, 1.0),
    ) -> None:
        check_choice(norm, NORMS, "norm")
        if not callable(loss):
            check_choice(loss, (*LOSSES, "kl"), "loss")
        for name, value in (("eps", eps), ("step_size", step_size)):
            if not isinstance(value, (Tensor, Real)):
                raise ValueError(f"{name} must be a number or a tensor, not {value!r}")
            if isinstance(value, Tensor) and value.ndim > 0 and norm == "l2":
                raise ValueError(f"{name} must be a number for the L2 norm, not a tensor of shape {tuple(value.shape)}")
            if not bool((torch.as_tensor(value) >= 0).all()):
                raise ValueError(f"{name} must not be negative or NaN, not {value!r}")
        check_count(steps, 0, "steps")
        check_count(restarts, 1, "restarts")
        self.eps, self.step_size, self.steps, self.norm, self.loss = eps, step_size, steps, norm, loss
        self.targeted, self.random_start, self.restarts, self.bounds = targeted, random_start, restarts, bounds

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Source = None) -> Tensor:
        return self.run(model, x, y, lambda _: generator, restore=generator is not None)

    def run(self, model, x, y, source: Callable[[int], Source | list[Generator]], restore=True) -> Tensor:
        """x', with the random numbers of each restart from `source(restart)`: one generator, or one per image."""
        with evaluating(model, x.device, restore):
            x, y = _ordinary(x.detach()), _ordinary(y)
            loss = self._loss(model, x)
            best, best_rank = None, None
            for restart in range(self.restarts):
                found = self._descend(model, x, y, loss, self._start(x, source(restart)))
                if self.restarts == 1:
                    return found
                rank = self._rank(model, found, y, loss)
                better = rank > best_rank if best is not None else torch.ones_like(rank, dtype=torch.bool)
                best = found if best is None else torch.where(better.view(-1, 1, 1, 1), found, best)
                best_rank = rank if best_rank is None else torch.where(better, rank, best_rank)
            return best

    def _loss(self, model: nn.Module, x: Tensor) -> Loss:
        if self.loss != "kl":
            return self.loss if callable(self.loss) else LOSSES[self.loss]
        with torch.no_grad():
            clean = model(x).softmax(1)
        # KL(p(x) || p(x')), the label unused: the attack of TRADES
        return lambda logits, _: F.kl_div(logits.log_softmax(1), clean, reduction="none").sum(1)

    def _start(self, x: Tensor, source: Source | list[Generator]) -> Tensor:
        if not self.random_start:
            return x.clone()  # with no step to follow, x' would share its memory with x
        if self.loss == "kl":
            return self._project(x + 0.001 * _draw(torch.randn, x, source), x)
        if self.norm == "linf":
            return self._project(x + _like(self.eps, x) * (2 * _draw(torch.rand, x, source) - 1), x)
        direction = _unit(_draw(torch.randn, x, source))
        radius = _draw(torch.rand, x[:, :1, :1, :1], source) ** (1 / x[0].numel())  # uniform in the ball
        return self._project(x + _like(self.eps, x) * radius * direction, x)

    def _project(self, adv: Tensor, x: Tensor) -> Tensor:
        eps = _like(self.eps, x)
        if self.norm == "linf":
            adv = torch.minimum(torch.maximum(adv, x - eps), x + eps)
        else:
            delta = adv - x
            length = delta.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            adv = x + delta * (eps / length.clamp_min(torch.finfo(x.dtype).tiny)).clamp_max(1)
        return adv if self.bounds is None else adv.clamp(*self.bounds)

    def _descend(self, model: nn.Module, x: Tensor, y: Tensor, loss: Loss, adv: Tensor) -> Tensor:
        stride = _like(self.step_size, x) * (-1 if self.targeted else 1)
        for step in range(self.steps):
            adv = adv.detach().requires_grad_()
            logits = model(adv)
            if step == 0:
                _check_range(y, logits)
            gradient = gradient_of(loss(logits, y).sum(), adv)
            direction = gradient.sign() if self.norm == "linf" else _unit(gradient)
            adv = self._project(adv.detach() + stride * direction, x)
        return adv.detach().to(x.dtype)

    def _rank(self, model: nn.Module, adv: Tensor, y: Tensor, loss: Loss) -> Tensor:
        """Orders final iterates: fooled ones above all others, then by loss. float64, so that no loss is lost."""
        with torch.no_grad():
            logits = model(adv)
            _check_range(y, logits)
            value = loss(logits, y).double().nan_to_num(nan=float("inf"))
            hit = logits.argmax(1) == y
            fooled = hit if self.targeted else ~hit
            value = -value if self.targeted else value
        return torch.atan(value) + 10 * fooled  # atan is monotone and bounded


def gradient_of(value: Tensor, adv: Tensor) -> Tensor:
    """d value / d adv; zero where the network does not depend on its input at all."""
    if not value.requires_grad:
        return torch.zeros_like(adv)
    (gradient,) = torch.autograd.grad(value, adv, allow_unused=True)
    return torch.zeros_like(adv) if gradient is None else gradient


def _ordinary(x: Tensor) -> Tensor:
    """x itself, or a copy where it was made in inference mode, which autograd refuses."""
    return x.clone() if x.is_inference() else x


def _unit(direction: Tensor) -> Tensor:
    """direction over its Euclidean length, image by image; zero where that is zero or not finite."""
    tiny = torch.finfo(direction.dtype).tiny
    largest = direction.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
    scaled = direction / largest.clamp_min(tiny)  # so that squares neither vanish nor overflow
    return (scaled / scaled.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp_min(tiny)).nan_to_num(0.0)


def _like(value: float | Tensor, x: Tensor) -> float | Tensor:
    """A radius or a step in the dtype and on the device of x: a tensor in float64 must not change the image's dtype."""
    return value.to(x) if isinstance(value, Tensor) else value


def _check_range(y: Tensor, logits: Tensor) -> None:
    if len(y) and int(y.max()) >= logits.shape[1]:
        raise ValueError(f"labels must lie in 0..{logits.shape[1] - 1}; the largest is {int(y.max())}")


def _draw(kind: Callable, x: Tensor, source: Source | list[Generator]) -> Tensor:
    """Random numbers like x from one generator, or image by image from a list of them; on the generator's device."""
    if isinstance(source, list):
        drawn = torch.stack([kind(x.shape[1:], generator=g, dtype=x.dtype) for g in source])
    else:
        drawn = draw(kind, x.shape, source, x.dtype)
    return drawn.to(x.device)


@contextmanager
def evaluating(model: nn.Module, device: torch.device, restore: bool) -> Iterator[None]:
    """Every module in eval mode, no gradient for any parameter, the global random state forked; all restored.

    Leaves inference mode, in which every gradient would be missing and every attack would stand still.
    """
    modes = [(module, module.training) for module in model.modules()]
    needing = [p for p in model.parameters() if p.requires_grad]
    devices = [device] if device.type == "cuda" else []
    try:
        model.eval()
        for p in needing:
            p.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=devices, enabled=restore):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for p in needing:
            p.requires_grad_(True)


def withstood(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    *,
    eps: float | Tensor,
    step_size: float | Tensor,
    steps: int,
    norm: str = "linf",
    loss: str | Loss = "ce",
    restarts: int = 1,
    criterion: str = "final",
    random_start: bool = True,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    seed: int = 0,
    first: int = 0,
    batch_size: int = 256,
) -> Int[Tensor, " n"]:
    """How many restarts of the attack each image withstood: `restarts` where it is still classified correctly.

    `criterion` "final" judges the final iterate of each restart, as the paper's Table 2 does; "any" every iterate, x
    among them. Images that are broken leave the batch, so later restarts cost less. The noise is keyed by (seed, image,
    restart), with `first` the index of x[0]: results depend neither on the batch size nor on what left the batch.
    Runs in the dtype of x without autocast. Errors as in `pgd`.
    """
    check_choice(criterion, ("final", "any"), "criterion")
    check_images(x, bounds)
    check_labels(y, len(x))
    for name, value, least in (("seed", seed, 0), ("first", first, 0), ("batch_size", batch_size, 1)):
        check_count(value, least, name)
    attack = PGD(eps, step_size, steps, norm, loss, False, random_start, restarts, bounds)
    attack.restarts, attack.steps = 1, steps if criterion == "final" else 1  # the loops over both are here
    with torch.inference_mode(False), torch.autocast(x.device.type, enabled=False):
        x, y = _ordinary(x), _ordinary(y.long())
        count = torch.zeros(len(x), dtype=torch.long)
        for start in range(0, len(x), batch_size):
            rows = torch.arange(start, min(start + batch_size, len(x)))
            for restart in range(restarts):
                if len(rows) == 0:
                    break
                rows = _attacked(attack, model, x, y, rows, [seed, first, restart], steps, criterion)
                count[rows] = restart + 1
    return count


def survivors(
    model: nn.Module, x: Float[Tensor, "n 3 h w"], y: Int[Tensor, " n"], *, restarts: int = 1, **settings
) -> Bool[Tensor, " n"]:
    """True for each image that the network still classifies correctly under attack; settings as in `withstood`."""
    return withstood(model, x, y, restarts=restarts, **settings) == restarts


def _attacked(attack: PGD, model, x, y, rows, key, steps, criterion) -> Int[Tensor, " m"]:
    """The rows that one restart of the attack leaves correct."""
    seed, first, restart = key
    sources = [_keyed(seed, first + int(row), restart) for row in rows]
    clean, labels = x[rows.to(x.device)], y[rows.to(y.device)]
    if criterion == "final":
        adv = attack.run(model, clean, labels, lambda _: sources)
        return rows[_correct(model, adv, labels)]
    with evaluating(model, x.device, True):
        loss = attack._loss(model, clean)
        adv = attack._start(clean, sources)
    kept = _correct(model, clean, labels) & _correct(model, adv, labels)
    for _ in range(steps):
        if not kept.any():
            break
        rows, clean, labels, adv = (t[kept.to(t.device)] for t in (rows, clean, labels, adv))
        with evaluating(model, x.device, True):
            if attack.loss == "kl":  # its closure holds the clean predictions of the rows that it was made for
                loss = attack._loss(model, clean)
            adv = attack._descend(model, clean, labels, loss, adv)
        kept = _correct(model, adv, labels)
    return rows[kept]


def _correct(model: nn.Module, x: Tensor, y: Tensor) -> Bool[Tensor, " n"]:
    with evaluating(model, x.device, True), torch.no_grad():
        logits = model(x)
        _check_range(y, logits)
        return (logits.argmax(1) == y).cpu()


def _keyed(seed: int, image: int, restart: int) -> Generator:
    from numpy.random import SeedSequence

    return torch.Generator().manual_seed(int(SeedSequence([seed, image, restart]).generate_state(1, "uint64")[0] >> 1))


def robust_accuracy(model: nn.Module, x: Float[Tensor, "n 3 h w"], y: Int[Tensor, " n"], **settings) -> float:
    """The share of images that survive the attack (Table 2's "adv accuracy"); settings and errors as in `withstood`."""
    return survivors(model, x, y, **settings).double().mean().item()


def eps_curve(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    *,
    eps: Sequence[float],
    relative_step: float = 0.25,
    steps: int = 10,
    **settings,
) -> Bool[Tensor, "e n"]:
    """`survivors` at each radius of `eps`; a step is `relative_step` times the radius (paper: ten of 2 within 8)."""
    return torch.stack(
        [survivors(model, x, y, eps=e, step_size=relative_step * e, steps=steps, **settings) for e in eps]
    )
