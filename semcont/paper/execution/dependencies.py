"""Which of our files a notebook uses, read from its import statements: what Snakemake watches, narrow and true."""

import ast
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
_PLOTS = PACKAGE / "paper" / "plots" / "__init__.py"


def of_notebook(notebook: Path) -> list[Path]:
    """Every file of ours that the notebook imports, directly or not; of `plots` only the modules that it calls."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    tree = ast.parse(source)
    direct = set(_named(tree, [])) | set(_figures(tree))
    return sorted({file for path in direct for file in closure(path)})


@lru_cache
def closure(path: Path) -> tuple[Path, ...]:
    """The file and all that it imports of ours; packages that only re-export (`semcont`, `plots`) are not followed."""
    found: set[Path] = set()
    waiting = [path.resolve()]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            package = list(current.relative_to(PACKAGE.parent).parts[:-1])
            waiting += _named(ast.parse(current.read_text(encoding="utf-8")), package)
    return tuple(sorted(found))


def _named(tree: ast.AST, package: list[str]) -> Iterator[Path]:
    """Files that the import statements name, inside functions too; `package` is where relative imports start."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from _file(name)


def _figures(tree: ast.AST) -> Iterator[Path]:
    """Files of `plots` that hold the functions called as `plots.<function>`."""
    used = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "plots"
    }
    for node in ast.walk(ast.parse(_PLOTS.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and used & {alias.asname or alias.name for alias in node.names}:
            yield from _file(f"semcont.paper.plots.{node.module}")


def _file(module: str) -> list[Path]:
    if not module.startswith("semcont.") or module in ("semcont.paper", "semcont.paper.plots"):
        return []
    base = PACKAGE.parent.joinpath(*module.split("."))
    return [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
