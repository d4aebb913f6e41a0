"""A notebook succeeds wholly or leaves no trace of success; wrong parameters are refused before anything runs."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from semcont.paper import paths
from semcont.paper.execution import arguments, execute
from semcont.paper.strict import SettingsError

DONE = (
    'from semcont.paper import paths, store\nstore.write_json(paths.reports("tiny") / f"{name}.json", {"seed": seed})'
)


def _run(name: str, *words: str):
    return execute.run(execute.prepare(name, list(words)))


def _text(path) -> str:
    return "".join(o.get("text", "") for cell in nbformat.read(path, 4).cells for o in cell.get("outputs", []))


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alhpa=1"], ("'alhpa'", "'alpha'")),
        (["seed=one"], ("seed", "integer", "'one'")),
        (["seed=1.5"], ("seed", "integer")),
        (["seed=010"], ("seed", "integer")),
        (["seed=true"], ("seed", "integer")),
        (["alpha=NaN"], ("alpha", "number")),
        (["alpha=1e999"], ("alpha", "number")),
        (["loud=1"], ("loud", "true or false")),
        (["loud=yes"], ("loud", "true or false")),
        (["seed"], ("'seed'", "name=value")),
        (["seed=1", "seed=2"], ("seed", "twice")),
        (["preset=tinny"], ("'tinny'", "'tiny'")),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(checkout, words, said):
    checkout.notebook("01_a", "raise SystemError")
    with pytest.raises(SettingsError) as caught:
        execute.prepare("01_a", words)
    assert all(part in str(caught.value) for part in said)
    assert not (checkout.root / "reports").exists()


def test_values_are_of_the_annotated_types(checkout):
    checkout.notebook("01_a")
    given = execute.prepare("a", ["seed=3", "alpha=1", "loud=true", "preset=tiny"]).given
    assert given == {"seed": 3, "alpha": 1.0, "loud": True, "preset": "tiny"} and isinstance(given["alpha"], float)


def test_a_notebook_is_found_by_name_number_topic_or_path(checkout):
    path = checkout.notebook("05_robustness")
    assert {arguments.find_notebook(name) for name in ("05_robustness", "05", "robustness", str(path))} == {path}
    with pytest.raises(SettingsError, match="05_robustness"):
        arguments.find_notebook("robustnes")
    with pytest.raises(SettingsError, match="no notebook at"):
        arguments.find_notebook("elsewhere/robustness.ipynb")


def test_changes_of_a_training_are_plain_values():
    found = arguments.for_training(["alpha=0.1", "epochs=5", "data=color_digits", "detach=true", "train=null"])
    assert found == {"alpha": 0.1, "epochs": 5, "data": "color_digits", "detach": True, "train": None}


# --- success ----------------------------------------------------------------------------------------------------------


def test_a_success_is_promoted_with_its_receipt_and_nothing_is_written_elsewhere(checkout, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    look = "import os, sys\nfor k in range(3):\n    print(k, end='\\r')"
    look += "\nprint(sys.executable, os.environ['OMP_NUM_THREADS'], seed)"
    checkout.notebook("01_a", look, 'name = "01_a"\n' + DONE)
    executed = _run("01_a", "seed=3")
    assert executed == checkout.reports / "notebooks" / "01_a.ipynb"
    assert _text(executed) == f"{sys.executable} 1 3\n"  # one output, progress overwritten
    record = checkout.reports / "01_a.json"
    assert json.loads(record.read_text())["seed"] == 3
    receipt = json.loads((checkout.reports / "stamps" / "01_a.json").read_text())
    assert receipt["record"] == execute.store.sha256(record) and receipt["notebook"] == execute.store.sha256(executed)
    assert list(home.iterdir()) == [] and list((checkout.reports / "running").iterdir()) == [
        checkout.reports / "running" / "01_a.lock"
    ]


def test_another_kernel_called_python3_is_not_taken(checkout, tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "another", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    checkout.notebook("01_a", 'name = "01_a"\n' + DONE)
    assert _run("01_a").is_file()


def test_a_notebook_of_the_users_own_needs_no_preset_and_no_record(checkout, tmp_path):
    path = checkout.notebook("mine", "print(1 + count)", parameters="count: int = 1  # any")
    moved = tmp_path / "elsewhere {x}" / "mine.ipynb"
    moved.parent.mkdir()
    path.rename(moved)
    assert _text(_run(str(moved), "count=4")) == "5\n"


def test_three_at_once_do_not_meet(checkout):
    for number in (1, 2, 3):
        checkout.notebook(f"0{number}_a", f'name = "0{number}_a"\n' + DONE)
    command = [sys.executable, "-m", "semcont.paper", "run"]
    started = [subprocess.Popen([*command, f"0{number}_a"], stdout=subprocess.DEVNULL) for number in (1, 2, 3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]


# --- failure ----------------------------------------------------------------------------------------------------------


def test_a_failing_cell_leaves_no_success_and_says_where(checkout):
    checkout.notebook("01_a", 'name = "01_a"\n' + DONE)
    _run("01_a")
    (checkout.reports / "01_a.html").touch()
    checkout.notebook(
        "01_a", 'name = "01_a"\n' + DONE, "x = 1\nraise ValueError('images outside\\n[0, 1]')", "print('never')"
    )
    with pytest.raises(execute.NotebookFailed) as caught:
        _run("01_a", "seed=7")
    said = str(caught.value)
    kept = checkout.reports / "failed" / "01_a.ipynb"
    assert all(
        part in said
        for part in ("01_a.ipynb", "seed=7", "cell 4", "`x = 1`", "ValueError: images outside [0, 1]", str(kept))
    )
    assert kept.is_file()
    for success in ("01_a.json", "01_a.html", "notebooks/01_a.ipynb", "stamps/01_a.json"):
        assert not (checkout.reports / success).exists()


def test_a_killed_kernel_is_noticed_at_once(checkout):
    checkout.notebook("01_a", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    start = time.monotonic()
    with pytest.raises(
        execute.NotebookFailed, match=r"01_a.ipynb \(seed=2\) failed at cell 3, `import os, signal`: the kernel died"
    ):
        _run("01_a", "seed=2")
    assert time.monotonic() - start < 60
    assert (
        not (checkout.reports / "01_a.json").exists() and not (checkout.reports / "notebooks" / "01_a.ipynb").exists()
    )


def test_a_notebook_without_its_record_has_failed(checkout):
    checkout.notebook("01_a", "1 + 1")
    with pytest.raises(execute.NotebookFailed, match="without a record"):
        _run("01_a")
    assert not (checkout.reports / "notebooks").exists()


def test_a_notebook_that_runs_already_is_not_started_again(checkout):
    from filelock import FileLock

    checkout.notebook("01_a", "1 + 1")
    lock = checkout.reports / "running" / "01_a.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(paths.UserError, match="already running"):
        _run("01_a")


def test_a_terminated_run_takes_its_kernel_along(checkout):
    note = checkout.root / "pid"
    checkout.notebook(
        "01_a", f"import os, pathlib, time\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\ntime.sleep(300)"
    )
    started = subprocess.Popen([sys.executable, "-m", "semcont.paper", "run", "01_a"], stderr=subprocess.DEVNULL)
    _wait(note.is_file)
    started.send_signal(signal.SIGTERM)
    assert started.wait(60) != 0
    kernel = int(note.read_text())
    _wait(lambda: not _alive(kernel))
    assert not (checkout.reports / "notebooks").exists()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
