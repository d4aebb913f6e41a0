"""Evidence: what a notebook hands to the ledger of claims.

A notebook hands measures to its record, each a number per arm and seed; it never judges. The ledger says which claim
reads which measure and compares which arms. So a control or a further claim is an entry in the ledger and changes no
notebook.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

TUNED = " (tuned)"
"""Ends the label of an arm at a tuned alpha: a second row beside the paper's alpha, never in its place."""


def evidence(
    table: pd.DataFrame,
    value: str,
    *,
    by: str = "arm",
    case: str | Sequence[str] | None = None,
    unit: str = "",
    references: Mapping[str, float] | None = None,
    tuned: pd.DataFrame | None = None,
    **where: Any,
) -> dict[str, Any]:
    """One measure of a tidy table in the form that the ledger reads, JSON-native.

    `where` keeps the rows whose column equals a value or is in a list. `by` is the column whose entries are compared:
    arms by their names, others as `"alpha=0.3"`. `case` names the columns that make separate cases, in each of which
    a claim has to hold. `unit` is "share" for values in [0, 1] that are printed in percent. `references` are named
    numbers to compare with, e.g. chance. `tuned` is a table like the first, of the arms at a tuned alpha, or an empty
    one; their labels end in `TUNED`.

    Raises `ValueError` for an unknown column, where no row is left, for several rows of one label, seed and case, and
    for values that are not finite.
    """
    cases = [case] if isinstance(case, str) else list(case or ())
    table = _where(table, [value, by, *cases], where)
    if tuned is not None and len(tuned):
        more = _where(tuned, [value, by, *cases], where)
        table = pd.concat([table, more.assign(**{by: more[by].astype(str) + TUNED})], ignore_index=True)
    if table.empty:
        raise ValueError(f"no row left for {value!r} where {where}")
    rows = [_row(row, value, by, cases) for row in table.to_dict("records")]
    seen = [(row["label"], row.get("seed"), row.get("case")) for row in rows]
    for key in seen:
        if seen.count(key) > 1:
            count = seen.count(key)
            raise ValueError(f"{count} rows of {value!r} for (label, seed, case) = {key}: pool them, or name `case`")
    given = {name: float(number) for name, number in (references or {}).items()}
    return {"measure": value, "unit": unit, "by": by, "references": given, "rows": rows}


def absent(reason: str) -> dict[str, str]:
    """In the place of a measure that a preset or its data do not allow, and why: the claims that read it are "not
    tested" for that reason.
    """
    return {"absent": reason}


def _where(table: pd.DataFrame, columns: list[str], where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that `where` keeps, of a table that has the `columns`."""
    for column in (*columns, *where):
        if column not in table:
            raise ValueError(f"no column {column!r} in the table; it has {', '.join(map(str, table.columns))}")
    for column, wanted in where.items():
        table = table[table[column].isin(list(wanted) if isinstance(wanted, (list, tuple, set)) else [wanted])]
    return table


def _row(row: Mapping[str, Any], value: str, by: str, cases: list[str]) -> dict[str, Any]:
    """One entry of the evidence; bounds and counts that are not known are left out."""
    entry: dict[str, Any] = {"label": str(row[by]) if by == "arm" else f"{by}={_plain(row[by])}"}
    if "seed" in row:
        entry["seed"] = int(row["seed"])
    if cases:
        entry["case"] = ", ".join(_plain(row[column]) for column in cases)
    entry["value"] = float(row[value])
    if not math.isfinite(entry["value"]):
        raise ValueError(f"{value!r} of {entry['label']} is {entry['value']}: evidence must be finite")
    for bound in ("low", "high"):
        if bound in row and math.isfinite(row[bound]):
            entry[bound] = float(row[bound])
    if "n" in row and math.isfinite(row["n"]):
        entry["n"] = int(row["n"])
    return entry


def _plain(entry: Any) -> str:
    """A level, an alpha or a name as a reader writes it: 1 for 1.0."""
    return entry if isinstance(entry, str) else f"{entry:g}"
