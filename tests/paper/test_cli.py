"""The command line: quick to start, and whatever the user can mend is one line."""

import os
import subprocess
import sys

import pytest

from semcont.paper import cli, doctor, runs
from semcont.paper.execution import execute


@pytest.fixture(autouse=True)
def _environment():
    """The command sets variables for its process; here they end with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def _main(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["semcont", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    return caught.value.code or 0, said.out, said.err


def test_starting_imports_nothing_heavy():
    heavy = "[name for name in ('torch', 'pandas', 'papermill', 'nbconvert', 'snakemake') if name in sys.modules]"
    modules = ("paper.cli", "paper.execution.execute", "paper.execution.pipeline", "paper.publishing.figures")
    code = f"import sys, {', '.join(f'semcont.{name}' for name in modules)}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "01_a", "alhpa=1"], 2, "did you mean 'alpha'?"),
        (["run", "01_a", "seed=one"], 2, "seed must be an integer, not 'one'"),
        (["run", "01_b"], 2, "did you mean '01_a'?"),
        (["train", "--arm", "bas", "-p", "tiny"], 2, "did you mean 'base'?"),
        (["train", "--arm", "c", "-p", "tiny", "alhpa=1"], 2, "did you mean 'alpha'?"),
        (["train", "--arm", "c", "-p", "tiny", "alpha=-1"], 2, "alpha must lie in [0, inf]"),
        (["train", "--arm", "c", "-p", "tiny", "--seed", "-1"], 2, "seed must be an integer of at least 0"),
        (["train", "--arm", "base", "-p", "tiny", "--device", "cudda"], 1, "device 'cudda' is not available"),
        (["train", "--arm", "base", "-p", "tinny"], 2, "did you mean 'tiny'?"),
        (["plan", "tiny"], 1, "no notebooks"),
        (["publish-networks", "-p", "tiny", "--without", "lengths"], 2, "--without leaves groups out of --beside"),
        (["report", "-p", "tiny"], 1, "nothing was run under preset tiny yet"),
    ],
)
def test_a_mistake_is_told_in_one_line(checkout, monkeypatch, capsys, words, code, said):
    if words[0] == "run":
        checkout.notebook("01_a")
    found, _, err = _main(monkeypatch, capsys, *words)
    assert found == code and said in err
    assert err.startswith("semcont: ") and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        PermissionError(13, "Permission denied", "data/runs"),
        ValueError("images outside\n[0, 1]"),
    ],
)
def test_a_full_disk_and_the_like_are_one_line_too(checkout, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    checkout.notebook("01_a")
    monkeypatch.setattr(execute, "run", fail)
    code, _, err = _main(monkeypatch, capsys, "run", "01_a")
    assert code == 1 and err.count("\n") == 1 and "SEMCONT_TRACEBACK=1" in err
    monkeypatch.setattr(sys, "argv", ["semcont", "run", "01_a"])
    monkeypatch.setenv("SEMCONT_TRACEBACK", "1")
    with pytest.raises(type(error)):
        cli.main()


def test_a_fault_of_ours_keeps_its_traceback(checkout, monkeypatch):
    def fail(*_):
        raise KeyError("ours")

    checkout.notebook("01_a")
    monkeypatch.setattr(execute, "run", fail)
    monkeypatch.setattr(sys, "argv", ["semcont", "run", "01_a"])
    with pytest.raises(KeyError):
        cli.main()


def test_an_unwritable_run_store_is_one_line(checkout, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "file"))
    code, _, err = _main(monkeypatch, capsys, "train", "--arm", "base", "-p", "tiny")
    assert code == 1 and err.count("\n") == 1 and str(tmp_path / "file") in err


def test_training_writes_its_stamp_and_finds_the_run_again(checkout, monkeypatch, capsys, tmp_path):
    stamp = tmp_path / "stamp.json"
    for _ in range(2):
        code, out, err = _main(
            monkeypatch, capsys, "train", "--arm", "c", "-p", "tiny", "alpha=0.5", "--stamp", str(stamp)
        )
        assert code == 0 and "trained  c, seed 0, alpha=0.5" in out
    (folder,) = runs.paths.runs().glob("c-s0-*")
    assert folder.name in stamp.read_text()


def test_run_says_where_it_stands(checkout, monkeypatch, capsys):
    checkout.notebook("mine", "1", parameters="n: int = 1  # any")
    code, out, err = _main(monkeypatch, capsys, "run", "mine", "n=2")
    assert code == 0 and out.startswith("ran      mine: ") and "mine.ipynb" in err


def test_data_list_names_every_set(monkeypatch, capsys):
    from semcont.datasets import sizes

    code, out, _ = _main(monkeypatch, capsys, "data", "list")
    assert code == 0 and all(name in out for name in sizes()) and "data/README.md" in out and "train 6,000" in out


def test_doctor_finds_this_installation_in_order(monkeypatch, capsys):
    code, out, _ = _main(monkeypatch, capsys, "doctor")
    assert code == 0 and out.rstrip().endswith("ready")
    assert all(
        f"\n{label} " in f"\n{out}"
        for label in ("python", "packages", "device", "threads", "memory", "disk", "data", "checkout")
    )


def test_doctor_fails_where_the_installation_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_NEEDED", ("torch", "no_such_package"))
    code, out, _ = _main(monkeypatch, capsys, "doctor")
    assert code == 1 and "BROKEN: ModuleNotFoundError" in out and "not working" in out
