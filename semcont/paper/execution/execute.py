"""One notebook through papermill, strictly: it succeeded, or there is no trace of success.

papermill alone leaves a notebook that looks complete after a killed kernel, takes unknown parameters with a warning,
lets parallel kernels race for ports, and takes whatever kernel is registered as `python3`. Here a notebook runs in a
folder of its own, on the running interpreter, over sockets in a private temporary folder; its page and record of an
earlier run go first, and what it made is put in place only after papermill returned and the notebook wrote its record.
"""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import paths, store
from ..strict import read_yaml
from . import arguments, parameters


class NotebookFailed(paths.UserError):
    """A cell raised, the kernel died, or the notebook ended without its record."""


@dataclass
class Execution:
    """One notebook about to run: the parameters that the caller set, and the preset that its record is filed under."""

    notebook: Path
    given: dict[str, Any]
    preset: str | None = None
    threads: int | None = None
    cell: dict[str, Any] = field(default_factory=dict)  # id and source of the cell that runs

    def enter(self, cell, cell_index: int) -> None:
        """Note which cell runs; say so where somebody is watching."""
        self.cell.update(id=cell.get("id"), source=cell.source)
        if sys.stderr.isatty():
            print(f"\r{self.name}: cell {cell_index + 1}", end="\r", file=sys.stderr, flush=True)

    @property
    def name(self) -> str:
        return self.notebook.stem

    @property
    def folder(self) -> Path:
        """reports/<preset>; what has no preset is filed under reports/other."""
        return paths.reports(self.preset or "other")

    @property
    def record(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def executed(self) -> Path:
        return self.folder / "notebooks" / f"{self.name}.ipynb"

    @property
    def receipt(self) -> Path:
        """Digests of the executed notebook and its record, by which the graph sees that either was edited."""
        return self.folder / "stamps" / f"{self.name}.json"


def prepare(notebook: str, words: list[str]) -> Execution:
    """Find the notebook, type its parameters, find its preset; nothing runs. Raises `UserError` for what is wrong."""
    path = arguments.find_notebook(notebook)
    given = arguments.for_notebook(path, words)
    if given.get("preset", "").endswith((".yaml", ".yml")):
        given["preset"] = str(Path(given["preset"]).resolve())  # the notebook runs in a folder of its own
    declared = parameters.declared(path)
    if "preset" not in declared:
        return Execution(path, given)
    return Execution(path, given, *name_and_threads(given.get("preset", declared["preset"][1])))


def name_and_threads(preset: str) -> tuple[str, int]:
    """Of a preset, without the half gigabyte that importing torch takes; the notebook's `begin` checks the whole."""
    try:
        path = Path(preset) if preset.endswith((".yaml", ".yml")) else paths.resource(f"presets/{preset}.yaml")
        content = read_yaml(path)
        return str(content["name"]), int(content["threads"])
    except (paths.UserError, KeyError, TypeError, ValueError):
        from ..presets import load_preset

        full = load_preset(preset)
        return full.name, full.threads


def run(execution: Execution) -> Path:
    """Execute, and return the executed notebook. Raises `NotebookFailed`; `UserError` where it is already running."""
    from filelock import FileLock, Timeout

    lock = execution.folder / "running" / f"{execution.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0), terminable():
            return _run_alone(execution, lock.with_suffix(""))
    except Timeout:
        raise paths.UserError(f"{execution.name} is already running under preset {execution.preset}") from None


def _run_alone(execution: Execution, working: Path) -> Path:
    made = {"notebook": execution.executed, "record": execution.record}
    for stale in (*made.values(), execution.receipt, execution.folder / f"{execution.name}.html"):
        stale.unlink(missing_ok=True)
    partial = working / f"{execution.name}.ipynb"
    failed = execution.folder / "failed" / partial.name
    working.mkdir(exist_ok=True)
    try:
        _papermill(execution, partial)
        if execution.preset and not execution.record.is_file():
            raise NotebookFailed(
                f"{_named(execution)} ended without a record: its last cell must call section.record(...)"
            )
        _move(partial, execution.executed)
    except BaseException:
        execution.record.unlink(missing_ok=True)
        if partial.is_file():
            _move(partial, failed)
        raise
    finally:
        shutil.rmtree(working, ignore_errors=True)
    failed.unlink(missing_ok=True)
    if execution.preset:
        store.write_json(execution.receipt, {name: store.sha256(path) for name, path in made.items()})
    return execution.executed


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def _papermill(execution: Execution, output: Path) -> None:
    """papermill's own call, with every failure turned into a `NotebookFailed` that says where."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it has to say is in our message
    source = nbformat.read(execution.notebook, as_version=4)
    with tempfile.TemporaryDirectory(prefix="semcont-", dir=_socket_parent()) as private:
        try:
            papermill.execute_notebook(
                source,
                str(output).replace("{", "{{").replace("}", "}}"),
                execution.given,
                kernel_name="python3",
                progress_bar=False,
                cwd=str(execution.notebook.parent),
                coalesce_streams=True,
                kernel_manager_class=_kernel_manager(Path(private), _environment(execution, Path(private))),
                on_cell_execute=execution.enter,
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookFailed(_failure(execution, source, f"{error.ename}: {error.evalue}")) from None
        except (DeadKernelError, RuntimeError) as error:
            died = isinstance(error, DeadKernelError) or "died" in str(error)
            said = "the kernel died (killed, or out of memory)" if died else f"{type(error).__name__}: {error}"
            raise NotebookFailed(_failure(execution, source, said)) from None


def _named(execution: Execution) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in execution.given.items())
    return f"{execution.notebook} ({given or 'its default parameters'})"


def _failure(execution: Execution, source, said: str) -> str:
    """Notebook, parameters, cell number as the notebook's author counts, its first line, the error in one line."""
    numbers = {cell.get("id"): number for number, cell in enumerate(source.cells, 1)}
    first = next(iter(execution.cell.get("source", "").strip().splitlines()), "")
    where = (
        f"cell {numbers.get(execution.cell.get('id'), '(injected parameters)')}, `{first}`"
        if execution.cell
        else "start of the kernel"
    )
    kept = execution.folder / "failed" / f"{execution.name}.ipynb"
    return f"{_named(execution)} failed at {where}: {' '.join(said.split())}; what had run is kept in {kept}"


def _socket_parent() -> str:
    """A temporary folder short enough for a Unix socket's path (about 100 bytes)."""
    default = tempfile.gettempdir()
    return default if len(default) < 60 or os.name == "nt" else "/tmp"


def _kernel_manager(private: Path, environment: dict[str, str]) -> type:
    """Of this interpreter's own kernel, whatever is registered as `python3`; no other kernel shares its sockets."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class PrivateKernelManager(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _own_kernel(self):
            return KernelSpecManager(kernel_dirs=[], parent=self)  # leaves only the kernel that ipykernel itself brings

        @default("transport")
        def _sockets(self):
            return "tcp" if os.name == "nt" else "ipc"

        @default("ip")
        def _prefix(self):
            return "127.0.0.1" if os.name == "nt" else str(private / "kernel")

        @default("shutdown_wait_time")
        def _patience(self):
            return 30.0  # seconds to end by itself, however busy the machine is

        @default("connection_file")
        def _file(self):
            return str(private / "kernel.json")

        async def start_kernel(self, **settings):
            return await super().start_kernel(**{**settings, "env": environment})

    return PrivateKernelManager


def _environment(execution: Execution, private: Path) -> dict[str, str]:
    """The kernel's environment: caches kept inside, no progress bars, the preset's number of threads."""
    private_folders = {"JUPYTER_RUNTIME_DIR": str(private), "IPYTHONDIR": str(private / "ipython")}
    batch = {"SEMCONT_BATCH": "1", "SEMCONT_COMMAND": _command(execution)}
    return {**os.environ, **cache_folders(), **private_folders, **batch, **thread_limits(execution.threads)}


def _command(execution: Execution) -> str:
    """What a reader types to run the notebook again."""
    ours = execution.notebook.parent == paths.notebooks().resolve()
    given = [f"{name}={value}" for name, value in execution.given.items()]
    return " ".join(["semcont run", execution.name if ours else execution.notebook.name, *given])


def thread_limits(threads: int | None) -> dict[str, str]:
    """Environment variables that hold every numerical library to so many threads, which change a result's last bits."""
    names = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
    return dict.fromkeys(names, str(threads)) if threads else {}


def cache_folders() -> dict[str, str]:
    """Where Jupyter, IPython, matplotlib, numba and Snakemake keep files: inside the environment, not in the home."""
    inside = sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK)
    base = Path(sys.prefix) / ".cache" if inside else Path(tempfile.gettempdir()) / f"semcont-{os.getuid()}"
    folders = {
        "XDG_CACHE_HOME": base,
        "IPYTHONDIR": base / "ipython",
        "JUPYTER_CONFIG_DIR": base / "jupyter" / "config",
        "JUPYTER_DATA_DIR": base / "jupyter" / "data",
        "JUPYTER_RUNTIME_DIR": base / "jupyter" / "runtime",
        "MPLCONFIGDIR": base / "matplotlib",
        "NUMBA_CACHE_DIR": base / "numba",
    }
    return {name: os.environ.get(name, str(folder)) for name, folder in folders.items()}


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception while a kernel runs, so that the kernel is shut down and not left behind."""
    import signal

    def stop(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
