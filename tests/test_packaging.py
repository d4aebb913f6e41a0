"""pyproject.toml, requirements.lock and environment.yml mean the same; the wheel carries what it needs."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

from semcont.paper import doctor, paths

ROOT = paths.root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]]
ENVIRONMENT = YAML(typ="safe").load(ROOT / "environment.yml")
VERSIONS = [f"3.{minor}" for minor in (11, 12, 13)]


def _locked(python: str) -> dict[str, Version]:
    """Name -> version that the lock gives for Linux and this Python."""
    environment = {
        "python_full_version": f"{python}.5",
        "python_version": python,
        "sys_platform": "linux",
        "os_name": "posix",
    }
    environment |= {
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_system": "Linux",
        "extra": "",
    }
    found = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", f"{line} is not an exact version"
            if requirement.marker is None or requirement.marker.evaluate(environment):
                name = canonicalize_name(requirement.name)
                assert name not in found, f"{name} twice for Python {python}"
                found[name] = Version(pin.version)
    return found


@pytest.mark.parametrize("python", VERSIONS)
def test_every_dependency_is_locked_inside_its_range(python):
    locked = _locked(python)
    for requirement in DEPENDENCIES:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("python", VERSIONS)
def test_the_tested_pair_is_locked(python):
    locked = _locked(python)
    assert (locked["torch"], locked["torchvision"]) == (Version("2.14.1"), Version("0.29.1"))


def test_the_lock_names_its_command_and_no_host():
    text = (ROOT / "requirements.lock").read_text()
    assert "uv pip compile --universal" in text.splitlines()[1]
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    (command,) = [
        line for line in (ROOT / "Makefile").read_text().replace("\\\n", "").splitlines() if "pip compile" in line
    ]
    assert command.split("pip compile")[1].split() == text.splitlines()[1].split("pip compile")[1].split()


def test_conda_users_get_the_same():
    plain = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    (python,) = [Requirement(entry) for entry in plain if entry.startswith("python")]
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])
    assert {entry for entry in plain if not entry.startswith("python")} == {"pip"} and ENVIRONMENT["channels"][
        0
    ] == "conda-forge"


def test_the_range_of_python_is_the_same_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    inside = [f"3.{minor}" for minor in range(8, 18) if allowed.contains(f"3.{minor}.1")]
    assert inside == VERSIONS
    assert [line.split()[-1] for line in PROJECT["classifiers"] if "Python :: 3." in line] == VERSIONS
    assert [
        f"3.{minor}" for minor in range(8, 18) if doctor._SUPPORTED[0] <= (3, minor) < doctor._SUPPORTED[1]
    ] == VERSIONS
    tested = re.search(r"TESTED := import sys; sys.exit\(not (.*)\)", (ROOT / "Makefile").read_text())[1]
    assert [f"3.{m}" for m in range(8, 18) if eval(tested.replace("sys.version_info[:2]", f"(3, {m})"))] == VERSIONS


def test_what_is_imported_is_declared():
    """A package that comes along with another may go with it."""
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]} | {"semcont"}
    homes = packages_distributions()
    for path in sorted((ROOT / "semcont").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"semcont"}:
                assert {canonicalize_name(home) for home in homes[name]} & declared, f"{path.name} imports {name}"


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    target = tmp_path / "installed"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    code = """
import semcont
from semcont.paper import paths, runs
from semcont.paper.presets import load_preset
from semcont.paper.verdicts import ledger
preset = load_preset("smoke")
run = runs.trained(preset, "c", 0)
print(semcont.__file__, len(ledger.load_claims()) >= 15, len(run.history), run.folder, sep="|")
"""
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(target), "HOME": str(empty)}
    run = {"cwd": empty, "env": environment, "text": True, "capture_output": True}
    done = subprocess.run([sys.executable, "-c", code], **run)
    assert done.returncode == 0, done.stderr
    file, claims, epochs, folder = done.stdout.strip().split("|")
    assert file.startswith(str(target)) and claims == "True" and int(epochs) >= 1 and folder.startswith(str(empty))
    paper = subprocess.run([sys.executable, "-m", "semcont.paper", "paper"], **run)
    assert paper.returncode == 1 and paper.stderr.startswith("semcont: ") and "checkout" in paper.stderr
    assert paper.stderr.count("\n") == 1 and paper.stdout == ""
