"""The nine notebooks as texts: static checks in milliseconds; their execution is in tests/paper/test_nine.py."""

import ast
import json
import re

import nbformat
import pytest

from semcont.paper import paths
from semcont.paper.execution import parameters

NOTEBOOKS = sorted(paths.notebooks().glob("*.ipynb"))
EXPECTED = [
    "01_discontinuity",
    "02_training",
    "03_continuity",
    "04_semantic_features",
    "05_robustness",
    "06_interpretability",
    "07_transfer",
    "08_fairness",
    "09_claims",
]


def test_there_are_nine():
    assert [path.stem for path in NOTEBOOKS] == EXPECTED


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def _code(cells) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_it_is_valid_stripped_and_small(path, cells):
    nbformat.validate(nbformat.read(path, as_version=4))
    text = json.loads(path.read_text(encoding="utf-8"))
    assert text["metadata"]["kernelspec"]["name"] == "python3" and set(text["metadata"]) == {"kernelspec"}
    assert len(cells) <= 30
    for cell in cells:
        assert set(cell["metadata"]) <= {"tags"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_at_least_half_is_prose(cells):
    prose = sum(cell["cell_type"] == "markdown" for cell in cells)
    assert prose >= len(cells) - prose


def test_parameters_are_annotated_commented_and_few(path, cells):
    assert [i for i, c in enumerate(cells) if "parameters" in c["metadata"].get("tags", [])] == [1]
    lines = "".join(cells[1]["source"]).strip().splitlines()
    assert len(lines) <= 12
    for line in lines:
        assert re.fullmatch(r"\w+: (int|float|str|bool) = \S.*?  # \S.*", line), line
    declared = parameters.declared(path)
    assert list(declared)[:2] == ["preset", "seed"] and declared["preset"][1] == "quick"


def test_it_begins_after_the_parameters_and_records_last(path, cells):
    assert cells[0]["cell_type"] == "markdown" and "".join(cells[0]["source"]).startswith("# ")
    assert f'begin("{path.stem}"' in "".join(cells[2]["source"])
    assert "section.record(" in "".join(cells[-1]["source"])


def test_no_definitions_loops_over_epochs_or_paths(cells):
    for source in _code(cells):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.While), source
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
                assert not re.search(r"\.\w{2,4}$|^[./~].*/|\\\\", node.value), f"a path: {node.value!r}"
        assert "epoch" not in re.findall(r"for (\w+) in", source)
        assert "%matplotlib" not in source and "sys.path" not in source
        if "section.record(" not in source:  # the record lists a line per measure
            assert len([line for line in source.splitlines() if line.strip()]) <= 14, source


def test_prose_holds_no_measured_number(cells):
    """Percentages belong to outputs; the paper's own stand in backticks, tables or with its name."""
    for cell in cells:
        if cell["cell_type"] != "markdown":
            continue
        for paragraph in "".join(cell["source"]).split("\n\n"):
            bare = re.sub(r"\$[^$]*\$|`[^`]*`", "", paragraph)
            if re.search(r"\d+(\.\d+)? ?%", bare):
                assert re.search(
                    r"paper|field|literature|et al|published|square|area|ground|interval|95 ?%|chance", bare
                ), paragraph
