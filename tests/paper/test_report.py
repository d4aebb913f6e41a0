"""The pages: nothing loaded from elsewhere, equations set, every picture described, and a failed notebook refused."""

import base64
import io
import json
import re

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from semcont.paper import report, store
from semcont.paper.publishing import pages
from semcont.paper.publishing.pages import PageError

MARKDOWN = r"""# A section

Inline $DS(x, x') = \lVert F(x') - F(x) \rVert_2^2$ at $\epsilon = 8/255$, and `$not math$` in code.

$$L = a\,\mathrm{CE}(F(x), y) + \alpha\, D_{*}(F(x), F(x'))$$

\begin{align} a &= b \end{align}

```python
price = "$5 and $6"
```
"""


def _png(colour: str = "#0072b2") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def _shown(alt: str | None = "a patch of colour") -> dict:
    about = {"name": "fig03_levels", "width": 300} | ({"alt": alt} if alt else {})
    return new_output("display_data", {"image/png": base64.b64encode(_png()).decode()}, metadata={"image/png": about})


class Reports:
    """reports/tiny with executed notebooks written by hand."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def add(self, name: str, *cells, publish: bool = True, results: dict | None = None) -> None:
        """An executed notebook and its record, which lists one figure and one table."""
        store.write_whole(self.folder / "figures" / "fig03_levels.png", lambda part: part.write_bytes(_png()))
        figure = {
            "alt": "a patch of colour",
            "caption": "",
            "kind": "figure",
            "png": "0",
            "csv": "0",
            "publish": publish,
        }
        table = {"alt": "", "caption": "Accuracy", "kind": "table", "png": None, "csv": "0", "publish": True}
        record = {"notebook": name, "preset": "tiny", "seeds": [0, 1], "device": "cpu", "threads": 1, "python": "3.12"}
        record |= {"versions": {"torch": "2.14"}, "commit": "abc123", "command": f"semcont run {name} preset=tiny"}
        record |= {"started": "2026-01-01T00:00:00", "runtime_s": 73.2, "hardware": "a machine", "peak_memory_mb": 812}
        record |= {"figures": {"fig03_levels": figure, "table2_pgd": table}, "results": results or {}}
        store.write_json(self.folder / f"{name}.json", record)
        notebook = new_notebook(
            cells=list(cells) or [new_markdown_cell(MARKDOWN), new_code_cell("section.figure()", outputs=[_shown()])]
        )
        path = self.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(notebook, path)

    def page(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def reports(checkout) -> Reports:
    return Reports(checkout.reports)


def test_a_page_reads_as_the_paper(reports):
    table = "<table class='dataframe'><caption>Accuracy of <i>C</i> & co</caption><tr><td>1</td></tr></table>"
    shown = new_output(
        "display_data", {"text/html": table, "text/plain": "x"}, metadata={"text/html": {"name": "table2_pgd"}}
    )
    concluded = new_output("display_data", {"text/markdown": "**So** $\\alpha = 1$.", "text/plain": "x"})
    streams = [
        new_output("stream", name="stdout", text="05 · seed 0"),
        new_output("stream", name="stderr", text="a warning"),
    ]
    outputs = [_shown(), shown, concluded, *streams]
    reports.add("05_robustness", new_markdown_cell(MARKDOWN), new_code_cell("section.figure()", outputs=outputs))
    reports.add("09_claims")
    files, written = report.build("tiny")
    html = reports.page("05_robustness.html")
    assert set(files) == {"05_robustness.html", "09_claims.html", "index.html"} and written == 3
    assert files["index.html"] == store.sha256(reports.folder / "index.html")
    # equations as MathML, code as it was written
    assert html.count("<math") == 5 and len(re.findall('<math[^>]*display="block"', html)) == 2 and "$$" not in html
    assert "<code>$not math$</code>" in html and "$5 and $6" in re.sub(r"<[^>]+>|&quot;", "", html)
    assert "<mo>*</mo>" in html  # Markdown left the inside of the equation alone
    # figure, table, conclusion, streams, code
    assert '<figure id="fig03_levels">' in html and 'alt="a patch of colour"' in html and "<b>Figure 3.</b>" in html
    assert '<div class="table" id="table2_pgd">' in html and "<caption><b>Table 2.</b> Accuracy of <i>C</i>" in html
    assert '<section class="finding">' in html and "<strong>So</strong>" in html
    assert "05 · seed 0" in html and "<summary>Messages</summary>" in html and "<summary>Code</summary>" in html
    # navigation and provenance
    nav = re.search(r"<nav.*?</nav>", html, re.DOTALL)[0]
    assert 'href="index.html"' in nav and 'href="09_claims.html"' in nav
    assert re.findall(r'<a aria-current="page" href="(.*?)"', nav) == ["05_robustness.html"]
    footer = re.search(r"<footer.*?</footer>", html, re.DOTALL)[0]
    assert all(
        word in footer
        for word in ("semcont run 05_robustness preset=tiny", "abc123", "a machine", "0, 1", "1 min 13 s")
    )


def test_the_index_opens_with_the_claims_and_shows_every_figure(reports):
    claim = {
        "id": "C4",
        "section": "4.4",
        "claim": "$\\alpha$ helps",
        "paper": "27.1",
        "ours": "43 < 49",
        "reason": "one seed",
    }
    claim |= {"verdict": "single run, same direction", "notebook": "05_robustness"}
    reports.add("05_robustness", publish=False)
    reports.add("09_claims", results={"claims": [claim]})
    report.build("tiny")
    html = reports.page("index.html")
    assert html.index('id="claims"') < html.index('id="gallery"') < html.index('id="runtime"')
    assert html.index("<table") > html.index('id="claims"')
    assert (
        '<a href="05_robustness.html">C4</a>' in html
        and '<span class="verdict for">single run, same direction</span>' in html
    )
    assert "43 &lt; 49" in html and "<math" in html
    assert (
        '<a href="05_robustness.html#fig03_levels">' in html and html.count("data:image/webp;base64,") == 2
    )  # unpublished ones, too
    assert 'href="09_claims.html#table2_pgd"' in html and "2 min 26 s" in html and "812 MB" in html


def test_nothing_is_rewritten_where_nothing_changed(reports):
    reports.add("01_discontinuity")
    report.build("tiny")
    before = {path: path.stat().st_mtime_ns for path in reports.folder.glob("*.html")}
    assert report.build("tiny")[1] == 0
    assert {path: path.stat().st_mtime_ns for path in reports.folder.glob("*.html")} == before


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (new_markdown_cell("An equation $\\frac{1}{$ that is broken."), "equation"),
        (new_markdown_cell("An equation $\\nosuchcommand x$."), "nosuchcommand"),
        (new_code_cell("x", outputs=[_shown(alt=None)]), "without alt text"),
        (new_code_cell("x", outputs=[new_output("error", ename="E", evalue="v", traceback=["t"])]), "error"),
        (new_code_cell("x", outputs=[new_output("stream", text="Traceback (most recent call last):")]), "traceback"),
        (new_markdown_cell("![a badge](https://example.org/badge.svg)"), "https://example.org/badge.svg"),
        (new_markdown_cell("<script>1</script>"), "script"),
        (
            new_code_cell(
                "x", outputs=[new_output("display_data", {"text/html": "<img src='https://a.b/c.png' alt='x'>"})]
            ),
            "https",
        ),
    ],
)
def test_what_would_break_the_promise_fails_the_build(reports, cell, said):
    reports.add("01_discontinuity", new_markdown_cell("# Title"), cell)
    with pytest.raises(PageError, match="01_discontinuity") as caught:
        report.build("tiny")
    assert said in str(caught.value)
    assert not list(reports.folder.glob("*.html"))


def test_a_record_without_its_executed_notebook_says_what_to_run(reports):
    reports.add("01_discontinuity")
    (reports.folder / "notebooks" / "01_discontinuity.ipynb").unlink()
    with pytest.raises(report.paths.UserError, match="semcont run 01_discontinuity preset=tiny"):
        report.build("tiny")


@pytest.mark.parametrize(
    "fault",
    [
        '<link rel="stylesheet" href="https://cdn/x.css">',
        '<img alt="x" src="//cdn/x.png">',
        '<img alt="x" src="figures/x.png">',
        '<img alt=" " src="data:,">',
        '<p style="background: url(https://cdn/x.png)">',
        "<style>@import 'https://cdn/x.css';</style>",
        "<style>p { background: url(x.png) }</style>",
        '<iframe srcdoc="x"></iframe>',
        '<video poster="x.png"></video>',
    ],
)
def test_every_way_to_load_something_is_caught(fault):
    with pytest.raises(PageError, match="p.html"):
        pages.check_page(f"<nav></nav>{fault}", "p.html")
    pages.check_page(
        '<nav></nav><img alt="x" src="data:,"><a href="https://arxiv.org/abs/2011.09789">the paper</a>', "p.html"
    )


def test_a_page_without_navigation_is_refused():
    with pytest.raises(PageError, match="navigation"):
        pages.check_page("<p>text</p>", "p.html")


def test_the_papers_figures_have_its_numbers_and_ours_are_counted():
    names = {"fig03_levels": "figure", "fig01b_more": "figure", "table2_pgd": "table"}
    names |= {"s05_audit": "table", "fig03x_relative": "figure", "audit_worst": "table", "s05_eps": "figure"}
    found = pages.labels("05_robustness", {name: {"kind": kind} for name, kind in names.items()})
    theirs, ours = ["Figure 3", "Figure 1b", "Table 2"], ["Table S5.1", "Figure S5.1", "Table S5.2", "Figure S5.2"]
    assert list(found.items()) == list(zip(names, theirs + ours, strict=True))


@pytest.mark.parametrize(
    ("name", "topic"),
    [("fig12_gradcam", "GradCAM"), ("fig03_continuity_levels", "continuity levels"), ("05_robustness", "robustness")],
)
def test_names_as_a_reader_says_them(name, topic):
    assert pages.topic(name) == topic


def test_a_figure_is_captioned_by_what_its_alt_text_says_is_drawn():
    assert pages.caption("s05_eps", {"alt": "accuracy by radius, as in Eq. 6, at 8.5 %. base 1."}) == (
        "Accuracy by radius, as in Eq. 6, at 8.5 %"
    )
    assert pages.caption("s05_eps", {"alt": "A line per arm.", "caption": "Own words."}) == "Own words"
    assert pages.caption("s05_worst_case", {"alt": f"{'long ' * 70}."}) == "Worst case"


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [
        ("single run, same direction", "for"),
        ("holds here", "for"),
        ("single run, opposite direction", "against"),
        ("does not hold here", "against"),
        ("contradicted in 4 of 16", "against"),
        ("reproduced, and turns with the length of training", "for"),
        ("single run, same direction in 3 of 4", "open"),
        ("single run, no difference", "open"),
        ("not tested", "open"),
    ],
)
def test_only_a_clear_verdict_has_a_colour(verdict, tone):
    assert report._tone(verdict) == tone


def test_a_broken_record_is_named(reports):
    reports.add("01_discontinuity")
    (reports.folder / "01_discontinuity.json").write_text('{"note')
    with pytest.raises(report.paths.UserError, match="01_discontinuity.json"):
        report.build("tiny")
    assert json.loads((reports.folder / "notebooks" / "01_discontinuity.ipynb").read_text())
