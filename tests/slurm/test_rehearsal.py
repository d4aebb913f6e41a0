"""The graph on a real Slurm, where there is one; `make test-slurm` brings what else it takes."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = {"capture_output": True, "text": True}


def _missing() -> list[str]:
    done = subprocess.run([sys.executable, "-c", "import onenode; print(*onenode.missing())"], cwd=HERE, **TEXT)
    return done.stdout.split()


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_graph_runs_on_slurm_and_resumes():
    if lacking := _missing():
        pytest.skip(f"Slurm is not installed here ({', '.join(lacking)})")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("Snakemake's executor for Slurm is not installed here; make test-slurm installs it")
    done = subprocess.run([sys.executable, str(HERE / "rehearse.py")], **TEXT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "processes left running: none" in done.stdout


def test_without_slurm_one_line_says_what_to_install(tmp_path):
    code = f"import onenode, rehearse; onenode._PLACES = {str(tmp_path)!r}; raise SystemExit(rehearse.main())"
    for words in ([], ["--check"]):
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=HERE, **TEXT)
        assert done.returncode == 2 and done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert "sbatch" in line and "slurm-wlm" in line


def test_it_tests_the_executor_that_the_package_asks_for():
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = project["optional-dependencies"]["slurm"]
    assert asked.split(";")[0] in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
