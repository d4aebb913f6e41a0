"""The HTML report: each executed notebook as a page of the paper, and an index of claims, figures and runtimes.

One process makes all pages, with a template of our own that loads nothing from anywhere: style, pictures and equations
(as MathML) are in the page. A page that would not keep that promise is an error, and pages are written only where their
content changed.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from . import paths, store
from .execution.pipeline import duration
from .publishing import figures
from .publishing.pages import PageError, caption, captioned, check_page, labels, mathml, thumbnail, topic
from .strict import read_yaml
from .verdicts.ledger import load_claims

_TEMPLATES = Path(__file__).resolve().parent / "templates" / "semcont"


def build(preset: str) -> tuple[dict[str, str], int]:
    """Write reports/<preset>/<notebook>.html and index.html where their content changed.

    Returns file name -> SHA-256, and how many files were written. Raises `UserError` where nothing was run, `PageError`
    for a notebook that failed, an equation that cannot be set, a picture without alt text, a page that would load
    something.
    """
    records = figures.records(preset)
    folder = paths.reports(preset)
    links = [_link(name, record, folder) for name, record in records.items()]
    exporter = _Exporter(
        extra_template_basedirs=[str(_TEMPLATES.parent)], template_name="semcont", anchor_link_text="¶"
    )
    pages = {link["file"]: _page(exporter, links, k, records[link["name"]], folder) for k, link in enumerate(links)}
    pages["index.html"] = _index(preset, links, records)
    for file, html in pages.items():
        check_page(html, file)
    written = [file for file, html in pages.items() if _differs(folder / file, html)]
    for file in written:
        store.write_text(folder / file, pages[file])
    return {file: store.sha256(folder / file) for file in pages}, len(written)


def _differs(path: Path, html: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != html


# --- one notebook -----------------------------------------------------------------------------------------------------


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown, with equations set as MathML where it would leave them to a script from elsewhere."""

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return MarkdownWithMath(_Renderer(escape=False, attachments=attachments, anchor_link_text="¶")).render(source)

    def default_filters(self):
        yield from super().default_filters()
        yield from {"captioned": captioned}.items()

    @property
    def default_config(self):
        config = super().default_config
        kinds = ["text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain"]
        config.NbConvertBase.display_data_priority = kinds
        return config


def _page(exporter: _Exporter, links: list[dict[str, Any]], index: int, record: dict[str, Any], folder: Path) -> str:
    link = links[index]
    notebook = nbformat.read(_executed(link["name"], folder), as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            raise PageError(f"{link['name']}: cell {number} ends in an error; a failed notebook makes no page")
    page = _frame(link["title"], record["preset"], links, link["file"]) | {
        "figures": record["figures"],
        "labels": link["labels"],
        "captions": {name: caption(name, about) for name, about in record["figures"].items()},
        "before": links[index - 1] if index else None,
        "after": links[index + 1] if index + 1 < len(links) else None,
        "made": _provenance(record),
    }
    try:
        html, _ = exporter.from_notebook_node(notebook, {"page": page})
    except PageError as error:
        raise PageError(f"{link['name']}: {error}") from None
    return html


def _executed(name: str, folder: Path) -> Path:
    path = folder / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise paths.UserError(f"{name} has a record but no executed notebook: semcont run {name} preset={folder.name}")
    return path


# --- the index --------------------------------------------------------------------------------------------------------


def _index(preset: str, links: list[dict[str, Any]], records: dict[str, dict[str, Any]]) -> str:
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=False)
    environment.filters |= {"inline": _inline, "tone": _tone}
    results = next((r["results"] for r in reversed(records.values()) if r["results"].get("claims")), {})
    page = _frame("The paper, executed", preset, links, None) | {
        "description": _description(preset),
        "made": _provenance(max(records.values(), key=lambda record: record["started"]))
        | {"command": f"semcont paper --preset {preset}"},
    }
    page["made"].pop("runtime", None)
    pages = {link["name"]: link["file"] for link in links}
    claims = [claim | {"page": pages.get(claim.get("notebook"))} for claim in results.get("claims", [])]
    first = {claim.id for claim in load_claims() if claim.primary}
    primary = [claim for claim in claims if claim["id"] in first and claim.get("alpha") != "tuned"]
    total = duration(sum(record["runtime_s"] for record in records.values()))
    return environment.get_template("overview.html.j2").render(page=page, claims=claims, primary=primary, total=total)


def _inline(text: Any) -> str:
    """A phrase of the claims table, with its equations and emphasis."""
    html = MarkdownWithMath(_Renderer(escape=True)).render(str(text or "")).strip()
    return re.sub(r"^<p>(.*)</p>$", r"\1", html, flags=re.DOTALL)


def _tone(verdict: str) -> str:
    """How a verdict is coloured: for the paper's claim, against it, or neither (mixed, undecided, not tested)."""
    if verdict.endswith("opposite direction") or verdict.startswith(("does not hold", "contradicted")):
        return "against"
    return "for" if verdict.endswith("same direction") or verdict.startswith(("holds", "reproduced")) else "open"


def _description(preset: str) -> str:
    try:
        return str(read_yaml(paths.resource(f"presets/{preset}.yaml"))["description"])
    except (paths.UserError, KeyError, TypeError):
        return "settings from a file of the user's own"


# --- what both share --------------------------------------------------------------------------------------------------


@cache
def _css() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (
        HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight") for style in ("friendly", "monokai")
    )
    return (_TEMPLATES / "style.css").read_text(
        encoding="utf-8"
    ) + f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _frame(title: str, preset: str, links: list[dict[str, Any]], current: str | None) -> dict[str, Any]:
    return {"title": f"{title} · semcont {preset}", "css": _css(), "preset": preset, "links": links, "current": current}


def _link(name: str, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What navigation and index say of a notebook."""
    said = labels(name, record["figures"])
    shown = [
        {"name": key, "label": said[key], "topic": topic(key), **about} for key, about in record["figures"].items()
    ]
    figures = [figure | thumbnail(folder / "figures" / f"{figure['name']}.png") for figure in shown if figure["png"]]
    return {
        "name": name,
        "file": f"{name}.html",
        "number": int(name.partition("_")[0]),
        "title": topic(name).capitalize(),
        "labels": said,
        "figures": figures,
        "tables": [table for table in shown if not table["png"]],
        "runtime": duration(record["runtime_s"]),
        "memory": f"{record['peak_memory_mb']:,} MB" if record.get("peak_memory_mb") else "",
        "command": record["command"],
    }


def _provenance(record: dict[str, Any]) -> dict[str, str]:
    """The footer: how this page was made."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    threads = f"{record['threads']} thread{'s' if record['threads'] != 1 else ''}"
    return {
        "command": record["command"],
        "commit": record["commit"] or "not in git",
        "seeds": ", ".join(map(str, record["seeds"])),
        "hardware": f"{record['hardware']}; {record['device']}, {threads}",
        "versions": f"Python {record['python']}, {versions}" if record.get("python") else versions,
        "started": record["started"],
        "runtime": duration(record["runtime_s"]),
    }
