"""Where things live. Nothing else in the study spells a path.

`SEMCONT_ROOT` is the checkout (found from this file otherwise), `SEMCONT_DATA` the data at hand (may be read-only),
`SEMCONT_RUNS` the store of trained networks, `SEMCONT_CHECKPOINTS` the published ones, `SEMCONT_FIGURES` the published
figures, `SEMCONT_REPORTS` the reports.
"""

import os
from pathlib import Path

_HERE = Path(__file__).resolve()


class UserError(Exception):
    """Something the user can mend; the command line shows the message alone, on one line."""


class NoCheckout(UserError):
    """A checkout of the project is needed and none was found."""


def _checkout() -> Path | None:
    named = os.environ.get("SEMCONT_ROOT")
    if named:
        return Path(named).resolve()
    for folder in _HERE.parents:
        if (folder / "notebooks").is_dir() and (folder / "presets").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return None


def root() -> Path:
    """The checkout. Raises `NoCheckout` where the package is installed without one."""
    found = _checkout()
    if found is None:
        raise NoCheckout(
            "this needs a checkout of semcont (its notebooks and workflow): clone it, or set SEMCONT_ROOT to one"
        )
    return found


def _under_base(variable: str, *parts: str) -> Path:
    named = os.environ.get(variable)
    return Path(named).expanduser().resolve() if named else (_checkout() or Path.cwd()).joinpath(*parts)


def data() -> Path:
    """Downloaded data sets: `SEMCONT_DATA`, else data/downloads of the checkout or of the current folder."""
    return _under_base("SEMCONT_DATA", "data", "downloads")


def runs() -> Path:
    """The run store: `SEMCONT_RUNS`, else data/runs of the checkout or of the current folder."""
    return _under_base("SEMCONT_RUNS", "data", "runs")


def checkpoints() -> Path:
    """The published networks: `SEMCONT_CHECKPOINTS`, else data/checkpoints of the checkout or the current folder."""
    return _under_base("SEMCONT_CHECKPOINTS", "data", "checkpoints")


def figures(preset: str) -> Path:
    """The published figures and tables of a preset: figures/<preset>."""
    return _under_base("SEMCONT_FIGURES", "figures") / preset


def reports(preset: str) -> Path:
    """Executed notebooks, pages and records of a preset: reports/<preset>. Raises `NoCheckout` where there is none."""
    root()
    return _under_base("SEMCONT_REPORTS", "reports") / preset


def notebooks() -> Path:
    """The notebooks' folder."""
    return root() / "notebooks"


def resource(name: str) -> Path:
    """A file that the library needs at run time: "presets/quick.yaml", "paper/claims.yaml".

    From the checkout (`presets/`, `data/paper/`), else from the copy inside the installed package. Raises `UserError`
    where there is neither.
    """
    checkout = _checkout()
    kind, _, rest = name.partition("/")
    places = [checkout / ("presets" if kind == "presets" else f"data/{kind}") / rest] if checkout else []
    places.append(_HERE.parent / "_bundled" / name)
    for place in places:
        if place.exists():
            return place
    raise UserError(f"{name} is not part of this installation")
