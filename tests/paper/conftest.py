"""A checkout in a temporary folder, with tiny notebooks that the tests write: what runs notebooks is tested on them."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from semcont.paper.verdicts import records

PRESET = """
name: tiny
description: for these tests
arms: [base]
seeds: 1
threads: 1
data: {name: photodigits, train: 60, val: 20, test: 20}
model: {name: resnet18-slim3, width: 4, stem: cifar-stride2}
training: {epochs: 1, batch_size: 30, monitor: 0}
constraint: {alpha: 1.0}
attack: {eps: 8, step_size: 5, steps: 1}
fairness: {train: 60, test: 20, epochs: 1}
"""

PARAMETERS = """preset: str = "tiny"  # presets/tiny.yaml
seed: int = 0  # the first
alpha: float = 1.0  # weight
loud: bool = False  # or not"""

# A section in little, without torch: one published figure with its table, and the record last.
SECTION = """
import base64, io, time
from IPython.display import display
from PIL import Image
from semcont.paper import paths, store
folder = paths.reports("tiny")
file = io.BytesIO(); Image.new("RGB", (8, 6), {colour!r}).save(file, "PNG")
for end, content in (("png", file.getvalue()), ("csv", b"arm,score\\nbase,1\\n")):
    store.write_whole(folder / "figures" / f"{figure}.{{end}}", lambda part: part.write_bytes(content))
digests = {{end: store.sha256(folder / "figures" / f"{figure}.{{end}}") for end in ("png", "csv")}}
about = {{"alt": "a patch of colour", "width": 8, "name": "{figure}"}}
display({{"image/png": base64.b64encode(file.getvalue()).decode()}}, raw=True, metadata={{"image/png": about}})
"""
RECORD = """
store.write_json(folder / "{name}.json", {{
    "notebook": "{name}", "preset": "tiny", "seeds": [0], "device": "cpu", "threads": 1, "versions": {{"torch": "2"}},
    "commit": None, "command": "semcont run {name}", "started": "2026-01-01T00:00:00", "runtime_s": 1.5, "runs": [],
    "hardware": "a machine", "results": {results!r}, "parameters": {{}},
    "figures": {{"{figure}": digests | {{"alt": "a patch", "caption": "", "kind": "figure", "publish": True}}}},
}})
"""


class Checkout:
    """A folder that `paths.root` takes for a checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("notebooks", "presets", "data/paper"):
            (root / folder).mkdir(parents=True)
        (root / "pyproject.toml").touch()
        (root / "presets" / "tiny.yaml").write_text(PRESET, encoding="utf-8")
        real = Path(__file__).resolve().parents[2]
        for name in ("presets/quick.yaml", "data/paper/claims.yaml"):
            (root / name).write_bytes((real / name).read_bytes())
        (root / "workflow").symlink_to(real / "workflow")
        self.reports = root / "reports" / "tiny"

    def notebook(self, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
        """Write a notebook: a title, the parameters, then these code cells."""
        book = new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        book.cells = [new_markdown_cell(f"# {name}\n\nHere $x' = P(x)$.")]
        if parameters:
            book.cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        book.cells += [new_code_cell(cell) for cell in cells]
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(book, path)
        return path

    def section(self, name: str, figure: str, colour: str = "#0072b2", results: dict | None = None) -> Path:
        """Write a notebook that makes one figure and its record."""
        made = RECORD.format(name=name, figure=figure, results=results or {})
        return self.notebook(name, SECTION.format(figure=figure, colour=colour), made)


@pytest.fixture(autouse=True)
def nothing_published(monkeypatch):
    """The ledger's tests make their own records; what the project has published must not fill their gaps."""
    monkeypatch.setattr(records, "published", lambda preset, notebook: {})


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """An empty checkout, and its own run store and figures."""
    monkeypatch.setenv("SEMCONT_ROOT", str(tmp_path / "checkout"))
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "runs"))
    for name in ("SEMCONT_FIGURES", "SEMCONT_REPORTS"):
        monkeypatch.delenv(name, raising=False)
    return Checkout(tmp_path / "checkout")
