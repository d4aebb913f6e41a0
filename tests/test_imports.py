"""Who imports whom: the method never the study, no module one below it, and `import semcont` next to nothing."""

import ast
import importlib
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import semcont

PACKAGE = Path(semcont.__file__).resolve().parent
# Each module may import those to its left. `_checks` is under all of them.
METHOD = ["_checks", "_draws", "datasets", "models", "distributed", "augmentation", "perturbations"]
METHOD += ["attack_losses", "attacks", "losses", "recipe", "feed", "training"]
HEAVY = ("torchvision", "pandas", "sklearn", "skimage", "scipy", "captum", "matplotlib", "umap", "PIL", "beartype")


def files_of_the_method() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "paper"]


def module_of(path: Path) -> str:
    """The name under semcont: `attacks`, or `perturbations` for all files of that folder."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, by its absolute name; `from . import x` names x."""
    package = ["semcont", *path.relative_to(PACKAGE).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parent, *(node.module.split(".") if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return names


def fresh(code: str) -> str:
    """What a new interpreter prints, without this process's import hook."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("path", files_of_the_method(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_the_method_never_imports_the_study(path):
    assert not [name for name in imported(path) if name == "semcont.paper" or name.startswith("semcont.paper.")]
    assert 'import_module("semcont.paper' not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path",
    [p for p in files_of_the_method() if p.name != "__init__.py" or p.parent != PACKAGE],
    ids=lambda p: p.relative_to(PACKAGE).as_posix(),
)
def test_a_module_imports_only_those_above_it(path):
    own = module_of(path)
    assert own in METHOD, f"{own} has no place in the order yet"
    allowed = {*METHOD[: METHOD.index(own) + 1], ""}
    if own == "datasets":
        allowed -= {"_checks"}
    for name in imported(path):
        if name == "semcont" or name.startswith("semcont."):
            inner = name.split(".")[1] if "." in name else ""
            assert inner in allowed, f"{own} imports {name}"


def test_the_imports_of_the_study_run_one_way():
    """No module, imported at its top or inside a function, leads back to itself; `prepare` names the circle."""
    files = {}
    for path in sorted((PACKAGE / "paper").rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    loads = {}
    for name, path in files.items():
        own_package = name if path.name == "__init__.py" else name.rpartition(".")[0]  # is loaded by then
        loads[name] = (imported(path) & set(files)) - {name, own_package}
    assert sum(map(len, loads.values())) > 200
    TopologicalSorter(loads).prepare()


def test_nothing_heavy_at_the_top_of_a_method_file():
    """Inside functions they may be imported; at the top they would cost everyone who imports the module."""
    for path in files_of_the_method():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not [n for n in names if n.split(".")[0] in HEAVY], f"{path.name}, line {node.lineno}"


def test_importing_semcont_brings_neither_the_study_nor_anything_heavy():
    code = "import torch, sys, json; old = {*sys.modules}; import semcont\n"
    code += "print(json.dumps(sorted({*sys.modules} - old)))"
    assert json.loads(fresh(code)) == ["semcont"]


def test_using_the_method_never_brings_the_study():
    code = (
        "import sys, json, torch, semcont\n"
        "[getattr(semcont, name) for name in semcont.__all__]\n"
        "data = semcont.load('color_digits', 'train', n=20)\n"
        "model = semcont.build('resnet18-slim3', classes=10, width=8)\n"
        "semcont.fit(model, data, semcont.Objective('c'), semcont.training.Recipe(epochs=1, batch_size=10), seed=0)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(fresh(code))
    assert not [name for name in loaded if name.startswith("semcont.paper")]
    assert not {name.split(".")[0] for name in loaded} & ({*HEAVY} - {"torchvision", "PIL", "scipy", "matplotlib"})


def test_every_public_name_resolves_and_is_documented():
    assert semcont.__all__ == sorted(semcont.__all__) == dir(semcont) and len(set(semcont.__all__)) == len(
        semcont.__all__
    )
    for name in semcont.__all__:
        value = getattr(semcont, name)
        assert value.__doc__, name
    for name in METHOD[1:]:
        assert getattr(semcont, name) is importlib.import_module(f"semcont.{name}")


def test_what_a_type_checker_sees_is_what_there_is():
    """The names imported under TYPE_CHECKING are those that are looked up when used."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body for alias in node.names}
    assert seen == set(semcont.__all__)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'continuity_loss'"):
        semcont.continuity_loss  # noqa: B018


def test_public_names_of_the_design():
    designed = """
        load ImageSet build brightness contrast saturation hue RandomPhotometric LEVELS translate_rgb shuffle_center
        shuffle_tiles pgd robust_accuracy eps_curve logits_difference distance_score ContinuityLoss Objective ARMS fit
        train_step RECIPE
    """
    assert set(designed.split()) <= set(semcont.__all__)
