"""AutoAttack (Croce and Hein 2020) by its own authors' code, the package `pyautoattack`, part by part.

`standard` is four parts in a fixed order, each on the images that those before it left: `apgd-ce`, `apgd-t` (both
adaptive PGD, the second towards nine classes in turn), `fab-t` (the nearest boundary), `square` (black box, 5,000
queries). Run one by one, each on the survivors of the last and with the same seed, the parts do what they do in one go;
and each is kept, so an audit that is broken off loses one part of one network.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pandas as pd
import torch
from torch import Tensor, nn

from ... import attacks
from ..measurements import measurement
from ..runs import measured, predict
from .attacks import row, tested

PARTS = ("apgd-ce", "apgd-t", "fab-t", "square")
TARGETS = 9
"""Classes that the targeted parts of `standard` aim at, where there are as many others."""


def parts_for(classes: int) -> tuple[str, ...]:
    """The parts of `standard` that work with so many classes: the loss of `apgd-t` needs four."""
    return tuple(part for part in PARTS if classes >= 4 or part != "apgd-t")


class _Logits(nn.Module):
    """A network as AutoAttack wants it: channels-last, with logits that may be written to, and a gradient (of zero)
    even where they do not depend on the image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits.clone() if logits.requires_grad or not x.requires_grad else logits + 0 * x.sum()


def survivors(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    part: str,
    *,
    eps: float,
    seed: int,
    effort: float = 1.0,
    batch_size: int = 250,
) -> tuple[Tensor, list[str]]:
    """True for each image of x (n, 3, h, w) that survives one part within L-inf radius eps; and AutoAttack's warnings.

    The images are to be right without an attack. `effort` is the share of the part's iterations or queries; 1 is
    `standard`. An image counts as broken where what came back is a number, within eps and [0, 1], and misclassified.
    The global random state, the network, the log and a debugger's trace are as before afterwards, and no file is
    written.
    """
    from pyautoattack import AutoAttack

    if len(x) == 0:
        return torch.ones(0, dtype=torch.bool), []
    x = x.contiguous()
    with attacks.evaluating(network, x.device, True), torch.autocast(x.device.type, enabled=False), _alone() as heard:
        adversary = AutoAttack(_Logits(network), norm="Linf", eps=eps, seed=seed, version="standard", device=x.device)
        adversary.attacks_to_run = [part]
        _adjust(adversary, predict(network, x[:1]).shape[1], effort)
        adv, _ = adversary.run_standard_evaluation(x, y, batch_size=batch_size)
        wrong = predict(network, adv).argmax(1) != y
        far = (adv - x).flatten(1).abs().amax(1)
        inside = (far <= eps + 1e-6) & (adv.flatten(1).amin(1) >= 0) & (adv.flatten(1).amax(1) <= 1)  # False for NaN
    return ~(wrong & inside).cpu(), sorted(set(heard))


def _adjust(adversary, classes: int, effort: float) -> None:
    """As many targets as there are other classes, and `effort` of the iterations, with what APGD derives from them."""
    for attack in (adversary.apgd_targeted, adversary.fab):
        attack.n_target_classes = min(TARGETS, classes - 1)
    if effort == 1:
        return
    for attack in (adversary.apgd, adversary.apgd_targeted):
        attack.n_iter = attack.n_iter_orig = max(1, round(effort * attack.n_iter))
        shares = {"n_iter_2": 0.22, "n_iter_min": 0.06, "size_decr": 0.03}
        for name, share in shares.items():
            setattr(attack, name, max(int(share * attack.n_iter), 1))
    adversary.fab.n_iter = max(1, round(effort * adversary.fab.n_iter))
    adversary.square.n_queries = max(1, round(effort * adversary.square.n_queries))


class _Heard(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _alone() -> Iterator[list[str]]:
    """Collects AutoAttack's warnings in place of its log, and undoes what its checks leave in the interpreter."""
    from pyautoattack import checks

    logger, messages = logging.getLogger("auto-attack"), []
    handler, propagate, trace = _Heard(messages), logger.propagate, sys.gettrace()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)
        sys.settrace(trace)  # its check for dynamic defences ends all tracing
        checks.funcs.update(dict.fromkeys(checks.funcs, 0))  # and counts on from network to network


@measurement(version=2)
def by_part(run, *, chain: list[list], eps: float, effort: float = 1.0) -> pd.DataFrame:
    """Accuracy after a part of AutoAttack within eps (1/255) and those before it: one row, for the last of the `chain`.

    The chain holds [part, images] in order. A part attacks what its predecessors left of the first `images` test
    images. Columns besides: broken, the share that this part broke; attack_seed; version; warnings, AutoAttack's own.
    """
    part, images = chain[-1]
    x, y, groups = tested(run, images)
    network = run.model()
    if len(chain) > 1:
        before = measured(run, by_part, chain=chain[:-1], eps=eps, effort=effort)
        alive = torch.tensor(before["alive"].iloc[0].astype(bool))[:images]
    else:
        alive = (predict(network, x).argmax(1) == y).cpu()
    rows, began = alive.nonzero().squeeze(1), perf_counter()
    kept, warnings = survivors(
        network, x[rows.to(x.device)], y[rows.to(y.device)], part, eps=eps / 255, seed=run.seed, effort=effort
    )
    alive[rows] = kept
    about = {"attack": part, "family": "autoattack", "eps": eps, "broken": float((~kept).sum()) / images}
    about |= {"attack_seed": run.seed, "version": "standard" if effort == 1 else f"standard, {effort:g} of its effort"}
    about |= {"warnings": " | ".join(warnings)}
    return pd.DataFrame([row(about, alive, groups, perf_counter() - began)])


def chains(preset, classes: int, full: bool) -> list[list[list]]:
    """The chains of `by_part` that a network gets: the APGD parts, and on the `full` seeds the other two, on fewer
    images."""
    own = preset.robustness.audit
    wanted = {part: own.images if part.startswith("apgd") else own.whole_images * full for part in parts_for(classes)}
    links = [[part, images] for part, images in wanted.items() if images]
    return [links[: k + 1] for k in range(len(links))]
