"""The nine notebooks, executed under `smoke`: by the graph, by papermill from elsewhere, and as Run All does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from semcont.paper import paths
from semcont.paper.evidence import TUNED
from semcont.paper.verdicts.ledger import load_claims

NAMES = [path.stem for path in sorted(paths.notebooks().glob("*.ipynb"))]
pytestmark = pytest.mark.timeout(1000)  # the first test waits for the whole paper, beside other tests
THREE_WAYS = "04_semantic_features"  # trains all four arms, draws its own random numbers, and takes no long


def _environment(folder: Path) -> dict[str, str]:
    """An empty run store, and reports and figures away from the checkout's."""
    places = {f"SEMCONT_{name.upper()}": str(folder / name) for name in ("runs", "reports", "figures")}
    return os.environ | places


def _record(folder: Path, name: str) -> dict:
    return json.loads((folder / "reports" / "smoke" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def graph(tmp_path_factory) -> Path:
    """The whole paper under `smoke`, from an empty store, as `make paper` runs it."""
    folder = tmp_path_factory.mktemp("graph")
    command = [sys.executable, "-m", "semcont.paper", "paper", "--preset", "smoke", "--cores", "2"]
    done = subprocess.run(command, env=_environment(folder), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_comes_through_with_a_record(graph, name):
    record = _record(graph, name)
    assert record["preset"] == "smoke" and record["figures"] and record["runtime_s"] > 0
    assert record["test_images"] == 60 and record["networks"] == len(record["runs"])
    assert record["training_s"] > 0 or not record["runs"]
    executed = nbformat.read(graph / "reports" / "smoke" / "notebooks" / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    for figure, about in record["figures"].items():
        for kind in ("png", "csv"):
            assert (
                about[kind] is None
                or (graph / "figures" / "smoke" / f"{figure}.{kind}").is_file()
                or not about["publish"]
            )


def test_every_figure_and_table_of_the_paper_is_there(graph):
    made = {name for notebook in NAMES for name in _record(graph, notebook)["figures"]}
    for number in range(1, 15):
        assert any(name.startswith(f"fig{number:02d}") for name in made), f"Fig. {number} is missing"
    for number in range(1, 5):
        assert any(name.startswith(f"table{number}") for name in made), f"Table {number} is missing"


def test_networks_at_a_tuned_alpha_are_second_rows_of_what_decides_the_claims(graph):
    """Under smoke `c` has one. The attributions, whose images are chosen by pairs of arms, leave it out."""
    decided = [claim for claim in load_claims() if claim.primary and "c" in claim.arms]
    decided = {(claim.notebook, claim.metric) for claim in decided if claim.notebook != "06_interpretability"}
    for notebook, metric in decided | {("05_robustness", "worst_case_accuracy")}:
        rows = _record(graph, notebook)["results"]["evidence"][metric]["rows"]
        assert f"c{TUNED}" in {row["label"] for row in rows}, metric
    assert len(decided) >= 4


def test_pages_are_there_with_an_index(graph):
    for name in [*NAMES, "index"]:
        assert "<nav" in (graph / "reports" / "smoke" / f"{name}.html").read_text(encoding="utf-8")


def test_a_second_time_runs_nothing_and_rewrites_nothing(graph):
    files = [
        path
        for top in ("reports", "figures")
        for path in (graph / top / "smoke").rglob("*")
        if path.suffix in (".html", ".json", ".png", ".csv")
    ]
    before = {path: path.stat().st_mtime_ns for path in files}
    command = [sys.executable, "-m", "semcont.paper", "paper", "--preset", "smoke", "--cores", "2"]
    done = subprocess.run(command, env=_environment(graph), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_a_deleted_figure_is_made_again(graph):
    (figure,) = (graph / "figures" / "smoke").glob("fig03_*.png")
    content = figure.read_bytes()
    records = {name: (graph / "reports" / "smoke" / f"{name}.json").stat().st_mtime_ns for name in NAMES}
    figure.unlink()
    command = [sys.executable, "-m", "semcont.paper", "paper", "--preset", "smoke", "--cores", "2"]
    done = subprocess.run(command, env=_environment(graph), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure.read_bytes() == content
    assert {name: (graph / "reports" / "smoke" / f"{name}.json").stat().st_mtime_ns for name in NAMES} == records


def _run_all(folder: Path) -> None:
    """As JupyterLab does: the notebook's own folder, its own cells; only the preset's default is typed over."""
    notebook = nbformat.read(paths.notebooks() / f"{THREE_WAYS}.ipynb", as_version=4)
    notebook.cells[1].source = notebook.cells[1].source.replace('"quick"', '"smoke"', 1)
    resources = {"metadata": {"path": str(paths.notebooks())}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute(env=_environment(folder))


def _papermill(folder: Path) -> None:
    """papermill's own command, with an absolute path, from another folder."""
    source = paths.notebooks() / f"{THREE_WAYS}.ipynb"
    command = [sys.executable, "-m", "papermill", str(source), "out.ipynb", "-p", "preset", "smoke", "-k", "python3"]
    done = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("way", [_run_all, _papermill], ids=["run_all", "papermill"])
def test_three_ways_give_the_same_numbers(graph, tmp_path, way):
    way(tmp_path)
    mine, theirs = _record(tmp_path, THREE_WAYS), _record(graph, THREE_WAYS)
    assert mine["results"] == theirs["results"]
    assert mine["runs"] == theirs["runs"]
    tables = {name: about["csv"] for name, about in theirs["figures"].items() if about["csv"]}
    assert {name: mine["figures"][name]["csv"] for name in tables} == tables
