"""What a table of several presets has room for: a claim's cell, and of how many seeds a preset's verdicts speak.

The README, the ledger's notebook and its figure say these alike. The README is made anew by commands that start without
pandas, so nothing here needs it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_SCOPE = re.compile(r"(?P<where>.+), (?P<seeds>\d+) seeds?(, primary|, exploratory)?")


class Cell(NamedTuple):
    """One claim under one preset. Each part may be empty."""

    verdict: str
    ours: str  # the two arms' values, or the one value that is held to a limit
    interval: str  # their difference or ratio with its interval; cases are parted by "; "


def cell(row: Mapping[str, str]) -> Cell:
    """The parts of a row of `claims.verdicts`, in the order in which they are shown.

    Where the difference has its interval, the arms are told without theirs and without what follows on single cases;
    over how many cases and seeds they are means stays, as it differs from claim to claim. What is undecided because
    training was not seen to level off says so, since its interval may look decided; so does a direction that other
    lengths of training turn.
    """
    ours, interval, verdict = row["ours"], row.get("interval") or "", row["verdict"]
    if interval:
        ours = re.sub(r" \[[^]]*\]", "", ours.split("; ")[0])
    reason = row.get("reason") or ""
    if verdict == "undecided" and "levelled off" in reason:
        verdict += ": training not levelled off"
    elif "turns with training" in reason:
        verdict += ", and turns with the length of training"
    return Cell(verdict, ours, interval)


def seeds(few: int, many: int) -> str:
    """A number of seeds, as a range where claims differ: "1 to 10 seeds"."""
    return f"{few} to {many} seeds" if few < many else f"{many} seed{'' if many == 1 else 's'}"


def scope(told: Iterable[str]) -> tuple[str, str]:
    """Data and network of many verdicts, and the range of their seeds, from the column `scope` of `claims.verdicts`.

    Verdicts without networks (left open, or on an equation) tell nothing; two empty texts where all are such.
    """
    found = [match for text in told if (match := _SCOPE.fullmatch(text))]
    if not found:
        return "", ""
    counts = [int(match["seeds"]) for match in found]
    return "; ".join(dict.fromkeys(match["where"] for match in found)), seeds(min(counts), max(counts))
