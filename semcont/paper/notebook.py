"""What a notebook needs around its prose: `begin`, then a section's runs, figures, tables, and the record as the last
word.

Figures and tables are staged and reach the report only with `record`, so a notebook that fails half-way shows nothing.
"""

import base64
import html
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ..datasets import DataError
from . import devices, paths, store
from .execution import parameters
from .images import source_of, split_of
from .measurements import Measurement
from .plots import style
from .presets import Preset, load_preset
from .runs import Run, measured, trained

_STANDARD = {"preset": (str, "quick"), "seed": (int, 0), "device": (str, "auto")}


def begin(name: str, **values: Any) -> "Section":
    """Open the section of notebook `name`: check its parameters, set threads and look, print one line.

    Deletes the section's former record at once: until `Section.record` writes a new one, the section has no result.
    Raises `SettingsError` for an unknown or mistyped parameter, `UserError` for a device that is not there.
    """
    path = paths.notebooks() / f"{name}.ipynb"
    allowed = _STANDARD | (parameters.declared(path) if path.is_file() else {})
    values = {key: default for key, (_, default) in _STANDARD.items()} | parameters.check(values, allowed, name)
    preset = load_preset(values["preset"])
    preset.check_notebook(name)
    if values["seed"] < 0:
        raise parameters.SettingsError(f"{name}: seed must be at least 0, not {values['seed']}")
    section = Section(name, preset, values, devices.of(preset, values["device"]))
    print(section.headline())
    return section


class Section:
    """A section of the study while its notebook runs; made by `begin`."""

    def __init__(self, name: str, preset: Preset, values: dict[str, Any], device: str) -> None:
        self.name, self.preset, self.parameters, self.device = name, preset, values, device
        self.threads = preset.threads
        self.seeds = list(range(values["seed"], values["seed"] + preset.seeds))
        self._began, self._started = time.perf_counter(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._folder = paths.reports(preset.name)
        self._figures: dict[str, dict[str, Any]] = {}
        self._networks: dict[str, float] = {}  # key -> seconds of training
        self._limits = _limit_threads(preset.threads)
        (self._folder / f"{name}.json").unlink(missing_ok=True)
        for old in self._folder.glob(f".staging/{name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        self._staging = self._folder / ".staging" / f"{name}-{os.getpid()}"
        style.use()

    def headline(self) -> str:
        """Preset, seeds, device, threads and versions on one line."""
        from importlib.metadata import version

        versions = ", ".join(f"{package} {version(package)}" for package in ("semcont", "torch", "torchvision"))
        seeds = ", ".join(map(str, self.seeds))
        many = "threads" if self.threads > 1 else "thread"
        run = f"preset {self.preset.name} · seed {seeds} · {self.device}, {self.threads} {many}"
        return f"{self.name} · {run} · {versions}"

    def runs(
        self,
        arms: tuple[str, ...] | list[str] | None = None,
        *,
        seeds: int | None = None,
        first: int | None = None,
        **changes: Any,
    ) -> list[Run]:
        """The trained networks of `arms` (the preset's otherwise) on the seeds that the preset gives each; trains what
        is missing.

        `seeds` takes the first so many: for what is changed, and not among the preset's arms. `first` is the first
        seed where it is not the section's: for what is never reported.
        """
        count = {arm: self.preset.seeds_of(arm) if seeds is None else seeds for arm in arms or self.preset.arms}
        start = self.seeds[0] if first is None else first
        wanted = [(arm, start + k) for arm, number in count.items() for k in range(number)]
        found = [trained(self.preset, arm, seed, device=self.device, **changes) for arm, seed in wanted]
        self._note(found)
        return found

    def measured(self, function: Measurement, runs: list[Run] | None = None, **settings: Any) -> pd.DataFrame:
        """The tables of `function` over `runs` (the preset's arms and seeds otherwise), one under the other."""
        runs = self.runs() if runs is None else runs
        self._note(runs)
        return pd.concat([measured(run, function, **settings) for run in runs], ignore_index=True)

    def figure(
        self, name: str, axes: Any, *, alt: str, table: pd.DataFrame | None = None, images: bool = False
    ) -> None:
        """Stage the picture of `axes`, its alt text and the table behind it, and show it.

        `images` says that the figure shows single images: of data that are not bundled such a figure is not published.
        Raises `ValueError` for an empty alt text.
        """
        if not alt.strip():
            raise ValueError(f"figure {name} needs an alt text: what does a reader see who cannot see it?")
        figure = _figure_of(axes)
        png = self._stage(f"{name}.png")
        figure.savefig(png, bbox_inches="tight", pad_inches=0.06, metadata={"Software": None})
        width = round(figure.get_size_inches()[0] * 96)
        plt.close(figure)
        publish = not images or split_of(self.preset, "test").bundled
        about = {"kind": "figure", "alt": alt, "caption": "", "publish": publish, "png": store.sha256(png), "csv": None}
        if table is not None:
            about["csv"] = self._stage_table(name, table)
        self._figures[name] = about
        _show({"image/png": base64.b64encode(png.read_bytes()).decode()}, {"alt": alt, "width": width, "name": name})

    def table(self, name: str, table: pd.DataFrame, *, caption: str, show: pd.DataFrame | None = None) -> None:
        """Stage the tidy `table` as CSV, and show it, or `show`, a shape of it for reading, under its caption."""
        about = {"kind": "table", "alt": "", "caption": caption, "publish": True, "png": None}
        self._figures[name] = about | {"csv": self._stage_table(name, table)}
        shown = table if show is None else show
        if shown.empty:
            text = f"*{caption}*: no rows under this preset."
            _show({"text/markdown": text, "text/plain": text}, {"name": name})
            return
        content = _html(shown).replace("<thead>", f"<caption>{caption}</caption>\n  <thead>", 1)
        _show({"text/html": content, "text/plain": shown.to_string(float_format=_number)}, {"name": name})

    def conclude(self, text: str) -> None:
        """Show a conclusion that was made from the data, as Markdown."""
        _show({"text/markdown": text, "text/plain": text}, {})

    def record(self, **results: Any) -> None:
        """Publish what was staged and write the section's record, last: the sign that the notebook came through."""
        final = self._folder / "figures"
        final.mkdir(parents=True, exist_ok=True)
        for staged in sorted(self._staging.glob("*")) if self._staging.is_dir() else []:
            target = final / staged.name
            if not target.is_file() or store.sha256(target) != store.sha256(staged):
                staged.replace(target)
        shutil.rmtree(self._staging, ignore_errors=True)
        record = {
            "notebook": self.name,
            "preset": self.preset.name,
            "parameters": self.parameters,
            "seeds": self.seeds,
            **store.provenance(self.device, self.threads),
            "started": self._started,
            "runtime_s": round(time.perf_counter() - self._began, 2),
            "peak_memory_mb": _peak_memory(),
            "results": _plain(results),
            "figures": self._figures,
            "runs": sorted(self._networks),
            "networks": len(self._networks),
            "training_s": round(sum(self._networks.values()), 2),
            "test_images": self._test_images(),
        }
        store.write_json(self._folder / f"{self.name}.json", record)
        print(f"{self.name} recorded after {record['runtime_s']:.0f} s, {len(self._figures)} figures and tables")

    def _test_images(self) -> int | None:
        """How many there are; None where the data are not at hand, which the ledger does without."""
        try:
            return len(source_of(self.preset, "test"))
        except DataError:
            return None

    def _note(self, runs: list[Run]) -> None:
        self._networks |= {run.key: run.record["seconds"] for run in runs}

    def _stage(self, name: str) -> Path:
        self._staging.mkdir(parents=True, exist_ok=True)
        return self._staging / name

    def _stage_table(self, name: str, table: pd.DataFrame) -> str:
        path = self._stage(f"{name}.csv")
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        return store.sha256(path)


def _limit_threads(count: int):
    """As `devices.threads`, for the rest of the process; the limiter must be kept alive."""
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    return threadpool_limits(count)


def _figure_of(axes: Any) -> Figure:
    if isinstance(axes, Figure):
        return axes
    return np.atleast_1d(np.asarray(axes, dtype=object)).flat[0].figure


def _html(shown: pd.DataFrame) -> str:
    """A table as pages show it. The names of its rows stand in the head's only line, where pandas would add one."""
    numbered, single = isinstance(shown.index, pd.RangeIndex), shown.columns.nlevels == 1
    levels = 0 if numbered else shown.index.nlevels
    look = {"index": not numbered, "index_names": not single, "float_format": _number, "border": 0, "na_rep": "–"}
    table = shown.to_html(**look, classes=[f"rows-{levels}", *_wide(shown, levels), *_prose(shown)])
    table = re.sub(
        r"\[([^][<]{,20}), ([^][<]{,20})\]", r"[\1,&nbsp;\2]", table
    )  # an interval, and a mark, stay in one line
    table = table.replace(r"\n", "<br>")  # pandas writes a new line in a cell as a program would
    table = re.sub(r" ([!*])</td>", r"&nbsp;\1</td>", table)
    names = iter([html.escape(str(name or "")) for name in shown.index.names])
    return re.sub("<th></th>", lambda _: f"<th>{next(names)}</th>", table, count=levels) if single and levels else table


def _wide(shown: pd.DataFrame, levels: int, many: int = 10) -> list[str]:
    """The class of a table of many columns, which pages set closer."""
    return ["many"] if levels + shown.shape[1] > many else []


def _prose(shown: pd.DataFrame, long: int = 30) -> list[str]:
    """Classes that name a table's columns of words, which pages set flush left; numbers stay flush right."""
    first = 1 + (0 if isinstance(shown.index, pd.RangeIndex) else shown.index.nlevels)
    texts = [[cell for cell in shown.iloc[:, k] if isinstance(cell, str)] for k in range(shown.shape[1])]
    worded = [
        any(len(cell) > long for cell in cells) or (len(cells) == len(shown) and not any(map(_NUMBER, cells)))
        for cells in texts
    ]
    return [f"prose-{k}" for k, words in enumerate(worded, first) if words]


_NUMBER = re.compile(r"[-+<]?\d|–$").match  # what a cell with a number begins with, or one without


def _show(data: dict[str, str], metadata: dict[str, Any]) -> None:
    from IPython.display import display

    display(data, raw=True, metadata={next(iter(data)): metadata} if metadata else {})


def _number(value: float) -> str:
    if 1000 <= abs(value) < 10**7:
        return f"{value:,.0f}"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"


def _peak_memory() -> int:
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _plain(value: Any) -> Any:
    """Results as JSON holds them: tables as lists of rows, numpy numbers as numbers, NaN as null."""
    if isinstance(value, pd.DataFrame):
        return json.loads(value.to_json(orient="records", double_precision=15))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value != value:
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a record holds plain values, not {type(value).__name__}")
