"""The verdicts of all published presets side by side, from what each has published under figures/<preset>/.

A notebook runs under one preset; of the others it reads the tables that their own runs of it published, so a reader
sees on one page what holds on which data, with how many seeds.
"""

from pathlib import Path

import pandas as pd

from .. import paths
from ..claims import CASES, COLUMNS
from ..verdicts import compact
from ..verdicts.ledger import OPEN, load_claims

FIRST = ("quick", "local")
"""The presets that come first, in this order; the others follow by name."""

HIDDEN = ("smoke",)
"""Presets for tests, which claim nothing and are never shown beside others."""

CLAIMS, TESTS = "s09_claims.csv", "s09_tests.csv"


def published() -> list[str]:
    """The presets whose claims lie in figures/<preset>/, in the order in which they are shown."""
    found = {path.parent.name for path in paths.figures("quick").parent.glob(f"*/{CLAIMS}")} - set(HIDDEN)
    return sorted(found, key=_place)


def order(table: pd.DataFrame) -> list[str]:
    """The presets of a table of this module, in the order in which they are shown."""
    return sorted(set(table["preset"]), key=_place)


def _place(preset: str) -> tuple[int, str]:
    return FIRST.index(preset) if preset in FIRST else len(FIRST), preset


def sources(preset: str) -> list[Path]:
    """The published tables of the other presets, which the ledger's notebook reads under `preset`."""
    files = [paths.figures(name) / file for name in published() if name != preset for file in (CLAIMS, TESTS)]
    return [path for path in files if path.is_file()]


def verdicts(preset: str, own: pd.DataFrame) -> pd.DataFrame:
    """`claims.verdicts` of every published preset, `own` in the place of this one's: a column `preset`, then theirs."""
    return _together(preset, own, CLAIMS, COLUMNS)


def tests(preset: str, own: pd.DataFrame) -> pd.DataFrame:
    """`claims.judge`'s tests of every published preset, `own` in the place of this one's: `preset`, then theirs."""
    return _together(preset, own, TESTS, CASES)


def _together(preset: str, own: pd.DataFrame, file: str, columns: list[str]) -> pd.DataFrame:
    tables = []
    for name in sorted({*published(), preset}, key=_place):
        path = paths.figures(name) / file
        if name == preset:
            table = own
        elif path.is_file():
            table = pd.read_csv(path, keep_default_na=False, na_values={c: [""] for c in _NUMBERS}, dtype=_TEXTS)
        else:
            continue
        tables.append(table.reindex(columns=columns).assign(preset=name))
    together = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    place = {claim.id: number for number, claim in enumerate(load_claims())}  # some presets decide more than others
    together = together.sort_values("id", key=lambda ids: ids.map(place), kind="stable", ignore_index=True)
    texts = [column for column in columns if column not in _NUMBERS]
    return together.fillna(dict.fromkeys(texts, ""))[["preset", *columns]]


_NUMBERS = ("seeds", "sign", "estimate", "low", "high", "p", "detectable")
_TEXTS = dict.fromkeys({*COLUMNS, *CASES} - set(_NUMBERS), str)


def for_reading(table: pd.DataFrame) -> pd.DataFrame:
    """One row per claim that some preset decided, one column per preset, with a line each for verdict, ours, and the
    difference's interval.

    A row at a tuned alpha says so after the claim. The scope of each column is what `scopes` tells; where its seeds
    are a range, a cell says how many are behind its values.
    """
    rows = []
    for (_, tuned), mine in table.groupby(["id", table["alpha"].eq("tuned")], sort=False):
        if mine["verdict"].isin(OPEN).all():
            continue
        first = mine.iloc[0]
        claim = first["claim"] + (" (at a tuned alpha)" if tuned else "")
        primary = "primary" if mine["scope"].str.endswith("primary").any() else ""
        row = {"section": first["section"], "claim": claim, "rank": primary, "paper": first["paper"]}
        for each in mine.to_dict("records"):
            row[each["preset"]] = "\n".join(filter(None, compact.cell(each)))
        rows.append(row)
    shown = ["section", "claim", "rank", "paper", *order(table)]
    return pd.DataFrame(rows).reindex(columns=shown).fillna("–")


def scopes(table: pd.DataFrame) -> pd.DataFrame:
    """Of what each preset's verdicts speak: data, network and seeds, a range where claims differ in their number.

    Also how many claims it decided and how many it left open.
    """
    rows = []
    for preset in order(table):
        mine = table[table["preset"] == preset]
        decided = mine[~mine["verdict"].isin(OPEN) & mine["alpha"].ne("tuned")]
        rows.append(
            {
                "preset": preset,
                "scope": ", ".join(filter(None, compact.scope(decided["scope"]))) or "–",
                "decided": len(decided),
                "left open": mine["alpha"].ne("tuned").sum() - len(decided),
            }
        )
    return pd.DataFrame(rows)


def describe(table: pd.DataFrame) -> str:
    """The alt text of the forest of presets, from the table of `tests`."""
    shown = table[(table["unit"] == "percent") & table["alpha"].ne("tuned")]
    parts = []
    for preset in order(shown):
        mine = shown[shown["preset"] == preset]
        agree = (mine["estimate"] * mine["sign"] > 0).sum()
        parts.append(f"{preset}: {agree} of {len(mine)} on the paper's side")
    return (
        f"Differences between two arms in percentage points for {shown['id'].nunique()} claims, the paper's and those "
        f"of each published preset with intervals. {'; '.join(parts)}."
    )
