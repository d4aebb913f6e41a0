"""`semcont paper`: the graph of a preset through Snakemake, with what Snakemake does not do.

It holds a lock of its own, runs again what was deleted or edited behind Snakemake's back (which judges by time stamps,
we by checksums), and says in a line what ran or why something failed.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import paths, store
from ..publishing import figures
from . import execute


class StepsFailed(paths.UserError):
    """Some steps of the graph failed; what had finished is kept."""


def run(argument: str, cores: int, passed_on: list[str]) -> str:
    """Bring a preset's paper up to date, and return a line on what that took.

    `passed_on` goes to Snakemake, which then speaks for itself. Raises `UserError` without a checkout, where another
    process is at the same preset, or for a cluster that cannot be reached; `StepsFailed` where a step failed.
    """
    start = time.monotonic()
    _check_cluster(passed_on)
    plan = _plan(argument)
    folder = paths.reports(plan["preset"])
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".paper.lock", plan["preset"]) as handle:
        (folder / "logs").mkdir(exist_ok=True)
        _keep(plan, folder / "plan.json")
        print(f"{plan['preset']}: on {cores} cores; what is running writes to {folder / 'logs'}", flush=True)
        if not {"-n", "--dry-run", "--dryrun"} & set(passed_on):
            for line in mend(plan):
                print(line, flush=True)
            if stale(plan):
                _ours("stamps", argument)
        before = _made(folder)
        _snakemake(plan, folder, cores, passed_on, handle)
        changed = [path for path, stamp in _made(folder).items() if before.get(path) != stamp]
    notebooks = sum(path.stem in plan["notebooks"] and path.parent == folder for path in changed)
    trained = sum(path.parent.name == "train" for path in changed)
    did = f"ran {notebooks} notebooks and {trained} trainings" if notebooks or trained else "no notebook had to run"
    return f"{plan['preset']}: {did}, {duration(time.monotonic() - start)}; the report is {folder / 'index.html'}"


def _check_cluster(passed_on: list[str]) -> None:
    """Raise `UserError` where the profile is Slurm's and something is missing: Snakemake would say so in 300 lines."""
    profiles = [word for word in passed_on if Path(word.rpartition("=")[2]).name == "slurm"]
    if not profiles:
        return
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        raise paths.UserError("Snakemake's executor for Slurm is not installed: python -m pip install -e '.[slurm]'")
    if lacking := [name for name in ("sbatch", "which") if shutil.which(name) is None]:
        raise paths.UserError(
            f"{' and '.join(lacking)} not found: run this on a node of the cluster that may submit jobs"
        )


def duration(seconds: float) -> str:
    """ "41 s", or "3 min 12 s"."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def _plan(argument: str) -> dict[str, Any]:
    """The plan, made in a process that ends: what torch takes (half a gigabyte) is not held while the notebooks run."""
    paths.root()
    return json.loads(_ours("plan", argument, stdout=subprocess.PIPE))


def _ours(*words: str, stdout: int | None = None) -> str | None:
    """One of our commands in a process of its own; what it printed, where `stdout` is a pipe."""
    done = subprocess.run([sys.executable, "-m", "semcont.paper", *words], stdout=stdout, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def _keep(plan: dict[str, Any], path: Path) -> None:
    if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != plan:
        store.write_json(path, plan)


@contextmanager
def _lock(path: Path, preset: str) -> Iterator[int]:
    """Hold the file, and yield its descriptor for Snakemake to inherit: the lock outlasts us while Snakemake runs."""
    import fcntl

    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise paths.UserError(f"the paper is already being made under preset {preset}") from None
        yield file.fileno()


def _made(folder: Path) -> dict[Path, int]:
    stamps = [*folder.glob("*.json"), *folder.glob("stamps/train/*.json")]
    return {path: path.stat().st_mtime_ns for path in stamps}


def _snakemake(plan: dict[str, Any], folder: Path, cores: int, passed_on: list[str], lock: int) -> None:
    root = paths.root()
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(root / "workflow" / "Snakefile"),
        "--directory",
        str(root),
    ]
    command += ["--configfile", str(folder / "plan.json"), "--cores", str(cores), "--rerun-incomplete", "--nolock"]
    if not any(word.startswith(("--workflow-profile", "--profile")) for word in passed_on):
        command += ["--workflow-profile", str(root / "workflow" / "profiles" / "local")]
    command += passed_on or ["--quiet", "all"]
    environment = {**os.environ, **execute.cache_folders()}
    environment |= {"SEMCONT_PYTHON": sys.executable, "SEMCONT_PRESET": plan["preset"]}  # for the rules, for profiles
    log = folder / "logs" / "snakemake.log"
    with log.open("w") as said:
        error = None if passed_on else said
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=error,
            text=True,
            env=environment,
            pass_fds=(lock,),
        )
        failures = set()  # a step that is tried again says the same again
        for line in started.stdout:
            print(line, end="", flush=True)
            if line.startswith("semcont: "):
                failures.add(line)
        code = started.wait()
    if code and not failures and not passed_on:
        print("\n".join(log.read_text().strip().splitlines()[-6:]), file=sys.stderr)
    if code:
        steps = f"{len(failures)} steps" if len(failures) != 1 else "a step"
        raise StepsFailed(
            f"{steps if failures else 'Snakemake'} failed under preset {plan['preset']}; what had finished is kept"
        )


# --- what Snakemake cannot see ----------------------------------------------------------------------------------------


def mend(plan: dict[str, Any]) -> list[str]:
    """Remove the sign of success of whatever was deleted or edited since, so that exactly this is made again.

    Returns a line for each.
    """
    folder = paths.reports(plan["preset"])
    checks = {folder / f"{name}.json": _notebook_changed for name in plan["notebooks"]}
    checks |= {folder / "stamps" / "train" / f"{job}.json": _run_gone for job in plan["train"]}
    checks |= {folder / "stamps" / "report.json": _files_changed, folder / "stamps" / "publish.json": _files_changed}
    lines = []
    for sign, check in checks.items():
        if sign.is_file() and (reason := _reason(sign, check)):
            sign.unlink()
            lines.append(f"again    {sign.stem}: {reason}")
    return lines


def stale(plan: dict[str, Any]) -> list[Path]:
    """The stamps of trainings that are missing, or older than what a training depends on.

    Snakemake would start a process for each, though most of these networks may be trained already.
    """
    root = paths.root()
    newest = max((root / path).stat().st_mtime_ns for path in plan["train_inputs"])
    stamps = [root / plan["reports"] / "stamps" / "train" / f"{name}.json" for name in plan["train"]]
    return [stamp for stamp in stamps if not stamp.is_file() or stamp.stat().st_mtime_ns < newest]


def _reason(sign: Path, check) -> str | None:
    try:
        return check(sign, json.loads(sign.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return f"{sign.name} cannot be read"


def _notebook_changed(record: Path, content: dict[str, Any]) -> str | None:
    """Record, executed notebook, and every staged figure and table are as they were when the notebook succeeded."""
    receipt = record.parent / "stamps" / record.name
    made = json.loads(receipt.read_text(encoding="utf-8")) if receipt.is_file() else {}
    expected = {record: made.get("record"), record.parent / "notebooks" / f"{record.stem}.ipynb": made.get("notebook")}
    for name, figure in content["figures"].items():
        for kind in ("png", "csv"):
            if figure[kind]:
                expected[record.parent / "figures" / f"{name}.{kind}"] = figure[kind]
                figures.restore(content["preset"], f"{name}.{kind}", figure[kind])
    return _first_changed(expected)


def _run_gone(stamp: Path, content: dict[str, Any]) -> str | None:
    return None if (paths.runs() / content["folder"] / "record.json").is_file() else "its run is not in the store"


def _files_changed(stamp: Path, content: dict[str, Any]) -> str | None:
    """The pages, or the published figures with no other beside them, are as the stamp lists them."""
    folder = (paths.figures if stamp.stem == "publish" else paths.reports)(content["preset"])
    if stamp.stem == "publish" and (
        strangers := {path.name for path in figures.pictures(folder)} - set(content["files"])
    ):
        return f"{min(strangers)} is of no notebook"
    return _first_changed({folder / name: digest for name, digest in content["files"].items()})


def _first_changed(expected: dict[Path, str | None]) -> str | None:
    for path, digest in expected.items():
        if not path.is_file():
            return f"{path.name} is missing"
        if store.sha256(path) != digest:
            return f"{path.name} was changed"
    return None
