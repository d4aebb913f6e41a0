"""What gives an attack away that failed: flags, and the worst case that they are a warning about."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from ... import attacks
from .. import statistics
from ..measurements import measurement
from ..robustness import TOLERANCE, beyond
from ..runs import predict
from .attacks import tested

BLACK_BOX = ("square", "transfer")
"""Attacks that never see the network's gradient: a part of AutoAttack, a family of ours."""
HARMLESS = ("none", "noise", "far")
"""What the worst case leaves out: no attack, noise, and attacks beyond Table 2's radius."""
SCOPES = ("every network", "every network's, on the images of everything", "everything")
"""Which attacks a worst case is over; the second one stands between the others, so that they compare."""


@measurement(version=2)
def randomness(run, *, images: int) -> pd.DataFrame:
    """The share of test images whose logits differ between two calls by over 1e-4 of their length: an attack on such a
    network follows a gradient that is not the one of the next call. Columns: share, n, low, high.
    """
    x, _, groups = tested(run, images)
    found = statistics.accuracy(random_logits(run.model(), x).numpy(), groups)
    return pd.DataFrame([{"share": found.pop("accuracy")} | found])


def random_logits(network, x: torch.Tensor) -> torch.Tensor:
    """True for each image of x (n, 3, h, w) that gets other logits when it is asked about again."""
    with attacks.evaluating(network, x.device, True):
        first, second = predict(network, x), predict(network, x)
    return ((first - second).norm(dim=1) > 1e-4 * first.norm(dim=1)).cpu()


def family_of(table: pd.DataFrame, radius: float) -> pd.Series:
    """Of each row: none, noise, far, black box or white box; `radius` is Table 2's, in 1/255."""
    black = table["attack"].isin(BLACK_BOX) | table["family"].isin(BLACK_BOX)
    kind = pd.Series(np.where(black, "black box", "white box"), index=table.index)
    kind[table["family"] == "noise"] = "noise"
    kind[table["eps"] > radius] = "far"
    kind[(table["attack"] == "none")] = "none"
    return kind


def left(rows: pd.DataFrame) -> np.ndarray:
    """True for each image that survives every attack of the rows, among the images that all of them attacked."""
    n = min(map(len, rows["alive"]))
    return np.stack([np.asarray(alive[:n], dtype=bool) for alive in rows["alive"]]).all(axis=0)


def worst_case(
    table: pd.DataFrame, radius: float, groups: dict[tuple[str, int], np.ndarray | None], images: int = 0
) -> pd.DataFrame:
    """Accuracy where an image counts only if it survives every attack within `radius` (1/255).

    `table` holds all attacks of all networks, `groups` what a bootstrap resamples, by (arm, seed). Scope "every
    network" takes the attacks that each network got on at least `images` images, so that arms and seeds can be compared
    and a costly attack on few images does not narrow the comparison to those; "everything" takes all attacks, on the
    images that they share, and beside it stand the first scope's attacks on these images. A network that met no more
    than every one has the first scope alone. Columns: arm, seed, scope (of `SCOPES`), attacks (their number), strongest
    (which alone leaves least of these images), accuracy, n, low, high.
    """
    counted = table[~family_of(table, radius).isin(HARMLESS)]
    if counted.empty:
        return pd.DataFrame()
    wide = counted["alive"].map(len) >= min(images, counted["alive"].map(len).max())
    networks = list(counted.groupby(["arm", "seed"], sort=False))
    shared = set.intersection(*(set(rows["attack"][wide[rows.index]]) for _, rows in networks))
    found = []
    for (arm, seed), rows in networks:
        common, few = rows[rows["attack"].isin(shared)], min(map(len, rows["alive"]))
        of_scopes = [(common, None), (common, few), (rows, few)] if len(common) < len(rows) else [(common, None)]
        for scope, (mine, n) in zip(SCOPES, of_scopes, strict=False):
            if mine.empty:
                continue
            alive = left(mine)[:n]
            about = {"arm": arm, "seed": seed, "scope": scope, "attacks": len(mine)}
            about["strongest"] = _strongest(mine, len(alive))
            of = groups.get((arm, seed))
            found.append(about | statistics.accuracy(alive, None if of is None else of[: len(alive)]))
    return pd.DataFrame(found).sort_values("scope", key=lambda s: s.map(SCOPES.index), kind="stable", ignore_index=True)


def _strongest(rows: pd.DataFrame, n: int) -> str:
    """The attack that leaves least of the first `n` images, those that all of the rows attacked."""
    return rows["attack"].iloc[int(np.argmin([np.mean(alive[:n]) for alive in rows["alive"]]))]


def flags(table: pd.DataFrame, zero: pd.DataFrame, random: pd.DataFrame, radius: float, chance: float) -> pd.DataFrame:
    """The audit's checks on itself, a row per arm, seed and check: value and limit (shares), raised.

    `table` holds all attacks, `zero` and `random` the shares of images without a gradient and with random logits.
    Raised are: either of these; more steps that take a further point and more; a black box that does; noise that breaks
    as much as Table 2's attack; more than chance left at the far radius.
    """
    rows = []
    for (arm, seed), mine in table.assign(kind=family_of(table, radius)).groupby(["arm", "seed"], sort=False):
        blind, loud = (t[(t["arm"] == arm) & (t["seed"] == seed)]["share"].iloc[0] for t in (zero, random))
        checks = [
            ("images without a gradient", blind, TOLERANCE, beyond(blind)),
            ("images with random logits", loud, 0.0, loud > 0),
            *_more_steps(mine),
            *_black_box(mine),
            *_noise_and_far(mine, chance),
        ]
        about = {"arm": arm, "seed": seed}
        rows += [
            about | {"check": check, "value": float(value), "limit": float(limit), "raised": bool(raised)}
            for check, value, limit, raised in checks
        ]
    return pd.DataFrame(rows)


Check = tuple[str, float, float, bool]


def _more_steps(rows: pd.DataFrame) -> Iterator[Check]:
    """From one number of steps of PGD to the next: what all losses together leave, those that both numbers had, with as
    many restarts. Table 2's own attack, which has a name of its own, judges its last step alone: it is not compared."""
    pgd = rows[(rows["family"] == "pgd") & (rows["kind"] == "white box")]
    steps, restarts = (pgd[name].astype(int).astype(str) for name in ("steps", "restarts"))  # floats beside other rows
    pgd = pgd[pgd["attack"] == pgd["loss"] + "-" + steps + "x" + restarts]
    pgd = pgd[pgd["restarts"] == pgd["restarts"].min()]
    steps = sorted(pgd["steps"].unique())
    for fewer, more in zip(steps, steps[1:], strict=False):
        few, many = (pgd[pgd["steps"] == n] for n in (fewer, more))
        both = set(few["loss"]) & set(many["loss"])
        few, many = (left(t[t["loss"].isin(both)]) for t in (few, many))
        n = min(len(few), len(many))
        gain = float(few[:n].mean() - many[:n].mean())
        yield (f"broken by {more:.0f} steps beyond {fewer:.0f}", gain, TOLERANCE, beyond(gain))


def _black_box(rows: pd.DataFrame) -> Iterator[Check]:
    white, black = rows[rows["kind"] == "white box"], rows[rows["kind"] == "black box"]
    if len(white) and len(black):
        n = min(map(len, [*white["alive"], *black["alive"]]))
        further = float(np.mean(left(white)[:n] & ~left(black)[:n]))
        yield ("broken by a black box alone", further, TOLERANCE, beyond(further))


def _noise_and_far(rows: pd.DataFrame, chance: float) -> Iterator[Check]:
    clean, noise, far = (rows[rows["kind"] == kind] for kind in ("none", "noise", "far"))
    headline = rows[(rows["family"] == "pgd") & (rows["kind"] == "white box")].head(1)
    if len(clean) and len(noise) and len(headline):
        n = min(map(len, [*clean["alive"], *noise["alive"], *headline["alive"]]))
        right = np.mean(left(clean)[:n])
        by_noise, by_pgd = right - np.mean(left(noise)[:n]), right - np.mean(left(headline)[:n])
        name = f"broken by noise (limit: by {headline['attack'].iloc[0]})"
        yield (name, by_noise, by_pgd, by_noise >= by_pgd)
    for attack, accuracy in zip(far["attack"], far["accuracy"], strict=True):
        yield (f"left by {attack} (limit: chance)", accuracy, chance, accuracy > chance)
