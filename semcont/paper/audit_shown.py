"""What a reader sees of the audit: its tables and figures, and what they say. What was left out leaves nothing."""

import numpy as np
import pandas as pd

from . import plots, robustness
from .audit import attacks, flags, grid
from .audit.whole import Audited, joined
from .directions import caution, describe
from .evidence import evidence

_ATTACKS = {
    "ours": ("audit_attacks", "attack", "PGD and noise: accuracy in percent"),
    "autoattack": (
        "audit_autoattack",
        "attack",
        "AutoAttack, after each part and those before it: accuracy in percent",
    ),
    "transfer": ("audit_transfer", "source", "On images made against another arm (down): accuracy in percent"),
}


def show_attacks(section, found: Audited) -> None:
    """Stage the tables of the attacks: of ours, of AutoAttack's parts, of those carried from arm to arm."""
    if found.everything.empty:
        section.conclude(f"The preset `{section.preset.name}` asks for no full audit; the short one above stands.")
    for key, (name, rows, caption) in _ATTACKS.items():
        table = getattr(found, key)
        if len(table):
            kept = attacks.COLUMNS if key == "ours" else [c for c in table if c not in ("alive", "seconds")]
            shown = robustness.across(table, rows, "accuracy") if rows == "source" else alike(table)
            shown = shown[[arm for arm in section.preset.arms if arm in shown]]
            section.table(name, table[kept], show=shown, caption=caption)


def show_worst(section, found: Audited) -> None:
    """Stage the worst case with its figure, the flags and the runtime, and say what they mean for the paper."""
    if found.worst.empty:
        return
    shown = robustness.across(_scopes(found.worst), "scope", "accuracy")
    section.table("audit_worst", found.worst, show=shown, caption="Accuracy in percent in the worst case")
    steps = ladder(found)
    section.figure("s05_worst_case", plots.worst_case(steps), table=steps, alt=describe_ladder(steps))
    shown = robustness.across(found.checks, "check", "value")
    section.table("audit_flags", found.checks, show=shown, caption="The flags, in percent; ! marks a raised one")
    caption = "What the attacks took, over all networks; images that no longer had to be attacked count, too"
    took = runtime(found)
    shown = took.rename(columns={"seconds_per_1000": "seconds for 1,000 images"})
    section.table("audit_runtime", took, show=shown, caption=caption)
    section.conclude(conclusion(found))


def show_spaces(section, found: Audited) -> None:
    """Stage the accuracy over the radius in both units, and say which cells come nearest to the paper's Table 2."""
    table = found.spaces
    if table.empty:
        return
    caption = "Accuracy in percent over the radius in 1/255"
    caption += "; * marks the cell nearest to the paper's number for the arm" if table["nearest"].any() else ""
    section.table("audit_eps", table[grid.COLUMNS], show=reading(table), caption=caption)
    section.figure("s05_spaces", plots.eps_spaces(table), table=table[grid.COLUMNS], alt=describe_spaces(table))
    section.conclude(grid.conclusion(table) or "The paper has no numbers on these data that a cell could be near to.")
    if told := grid.otherwise(table, section.preset.evaluation.eps):
        section.conclude(told)


def worst_evidence(found: Audited, short: pd.DataFrame, tuned: pd.DataFrame | None = None) -> dict:
    """The measure `worst_case_accuracy` of the ledger: of the full audit, else what all of the `short` leave.

    `tuned` is the worst case of the arms at a tuned alpha, by `audit.of_networks`.
    """
    of = {"value": "accuracy", "unit": "share"}
    if len(found.worst):
        return evidence(found.worst, tuned=_all_as(tuned, scope="every network"), scope="every network", **of)
    return evidence(short, tuned=_all_as(tuned, attack="all"), attack="all", **of)


def _all_as(table: pd.DataFrame | None, **column: str) -> pd.DataFrame | None:
    return None if table is None or table.empty else table.assign(**column)


# --- tables for reading -----------------------------------------------------------------------------------------------


def alike(table: pd.DataFrame) -> pd.DataFrame:
    """Attacks down, arms across, accuracy in percent, seeds averaged, so that what stands in one group compares.

    The first group holds the attacks that every network met on all images. Where some networks met more, a second one
    holds all that these met, each on the images that all of it was tried on.
    """
    met = table.groupby("attack")["arm"].transform("size") == table.groupby(["arm", "seed"]).ngroups
    common = met & (table["n"] == table["n"].max())
    groups = {f"every network, {_images(table)}": table[common]} if common.any() else {}
    if not common.all():
        further = pd.MultiIndex.from_frame(table[["arm", "seed"]])
        mine = table[further.isin(further[~common])]
        fewest = mine["n"].min()
        cut = mine.assign(accuracy=[np.mean(alive[:fewest]) for alive in mine["alive"]], n=fewest)
        groups[f"{_seeds(mine)}, {_images(cut)}"] = cut
    shown = {name: robustness.across(part, "attack", "accuracy") for name, part in groups.items()}
    return pd.concat(shown, names=["networks and images", "attack"]) if len(shown) > 1 else next(iter(shown.values()))


def _scopes(worst: pd.DataFrame) -> pd.DataFrame:
    """The worst case with its scopes told: how many attacks, of which seeds, on how many images."""
    told = {}
    for scope, part in worst.groupby("scope", sort=False):
        several = f"{_seeds(part)}, " if len(part) < len(worst[worst["scope"] == worst["scope"].iloc[0]]) else ""
        told[scope] = f"{scope}: {part['attacks'].iloc[0]} attacks, {several}{_images(part)}"
    return worst.assign(scope=worst["scope"].map(told))


def _seeds(table: pd.DataFrame) -> str:
    seeds = sorted(set(table["seed"]))
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _images(table: pd.DataFrame) -> str:
    return f"{table['n'].max():,} images"


def ladder(found: Audited) -> pd.DataFrame:
    """From no attack to the worst case: Table 2's attack, the strongest of ours, AutoAttack's parts, all together.

    Only attacks that every network got, on at least the images of the worst case; the strongest of ours leaves the
    least on average over the networks.
    """
    last = found.worst[found.worst["scope"] == "every network"].assign(attack="worst case")
    table = found.everything
    table = table[table["n"] >= last["n"].max()]
    shared = table[table.groupby("attack")["arm"].transform("size") == table.groupby(["arm", "seed"]).ngroups]
    shared = shared[~shared["attack"].str.contains("/255", regex=False)]
    ours = shared[(shared["family"] == "pgd") & (shared["attack"] != "none")]
    first = ["none", *ours["attack"].head(1)]
    mean = ours.groupby("attack", sort=False)["accuracy"].mean().drop(first[1:])
    first += [mean.idxmin()] if len(mean) else []
    wanted = shared["attack"].isin(first) | (shared["family"] == "autoattack")
    kept = ["arm", "seed", "attack", "accuracy", "n", "low", "high"]
    return joined([shared.loc[wanted, kept], last[kept]])


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """The accuracy over the radius: training and arm down, space and radius across, the nearest cells marked."""
    cells = table.groupby(["training", "arm", "space", "eps"], sort=False)
    text = cells["accuracy"].mean().mul(100).round(1).astype(str)
    text += cells["nearest"].any().map(lambda near: " *" if near else "")
    return text.unstack(["space", "eps"])


def raised(found: Audited, short: pd.DataFrame) -> pd.DataFrame:
    """Over how many networks of each arm a check raised its flag, of the full audit's checks, else of the `short`
    one's: columns arm, check, raised, networks. Checks that raised none are left out.
    """
    checks = found.checks if len(found.checks) else short
    each = checks.groupby(["arm", "check"], sort=False)["raised"]
    counted = each.agg(raised="sum", networks="size").astype(int).reset_index()
    return counted[counted["raised"] > 0].reset_index(drop=True)


def runtime(found: Audited) -> pd.DataFrame:
    """Seconds of the attacks over all networks, and per 1,000 images, on the device and threads of the runs.

    An image that no longer had to be attacked counts as an image.
    """
    table = found.everything.drop_duplicates(["arm", "seed", "family", "seconds"])  # one run gave several rows
    pgd = table["loss"] + ", " + table["steps"].fillna(0).astype(int).astype(str) + " steps"
    name = table["attack"].where(table["family"] != "pgd", pgd)
    name = name.where(table["family"] != "transfer", "made for another arm")
    total = table.groupby(name, sort=False).agg(images=("n", "sum"), seconds=("seconds", "sum"))
    total["seconds_per_1000"] = 1000 * total["seconds"] / total["images"]
    return total.rename_axis("attack").reset_index()


# --- in words ---------------------------------------------------------------------------------------------------------


def conclusion(found: Audited) -> str:
    """How many flags went up, and the contrasts of Table 2 in the worst case, as Markdown."""
    rows = found.worst[found.worst["scope"] == "every network"]
    every = [f"{rows['attacks'].iloc[0]} attacks", f"{rows['n'].iloc[0]:,} images"] if len(rows) else []
    after = f"In the worst case over the {every[0]} that every network got, on {every[1]}:" if every else ""
    contrasts = describe(rows, "accuracy", robustness.PAPER, percent=True)
    return "\n".join(
        [robustness.told(found.checks), "", after, "", contrasts, "", further(found.worst), "", caution(rows)]
    )


def further(worst: pd.DataFrame) -> str:
    """What the attacks that only some networks met take from what those that all met leave, on the same images; empty
    where all met the same."""
    common, whole = (worst[worst["scope"] == scope].set_index(["arm", "seed"]) for scope in flags.SCOPES[1:])
    lost = (100 * (common["accuracy"] - whole["accuracy"])).dropna()
    if lost.empty:
        return ""
    more, most = (whole["attacks"] - common["attacks"]).max(), lost.idxmax()
    much = f"at most {lost.max():.1f} points (`{most[0]}`, seed {most[1]})" if lost.max() > 0 else "nothing"
    where = f"On the {_images(whole)} and {len(lost)} networks that met everything"
    attacks_take = "attack takes" if more == 1 else "attacks take"
    return f"{where}, the {more} further {attacks_take} {much} from what the others leave."


def describe_ladder(table: pd.DataFrame) -> str:
    """The alt text of the figure of the worst case."""
    mean = table.groupby(["arm", "attack"], sort=False)["accuracy"].mean() * 100
    arms = [f"{arm} " + ", ".join(f"{v:.0f}" for v in mean[arm]) for arm in table["arm"].unique()]
    names = ", ".join(table["attack"].unique())
    return f"Accuracy in percent under attacks side by side ({names}), a line per arm. {'; '.join(arms)}."


def describe_spaces(table: pd.DataFrame) -> str:
    """The alt text of the figure of the two units."""
    panels = "Accuracy over the radius of PGD in two panels, of pixels and of normalised images, a line per arm"
    if others := [name for name in table["training"].unique() if name != grid.AS_ARMS]:
        panels += f"; below, two for each other training: {'; '.join(others)}"
    best = table[table["nearest"]].drop_duplicates(["training", "arm"])
    if best.empty:
        return f"{panels}."
    cells = [
        ", ".join(f"{row['arm']} {row['eps']:g} in {row['space']}" for _, row in rows.iterrows())
        for _, rows in best.groupby("training", sort=False)
    ]
    theirs = f"The paper's number of each arm is a dotted line. Nearest to it: {'; below, '.join(cells)}"
    return f"{panels}. {theirs}."
