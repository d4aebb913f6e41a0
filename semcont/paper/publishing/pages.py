"""The small parts of a page: equations, labels, thumbnails, and the checks that a page has to pass."""

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..paths import UserError


class PageError(UserError):
    """A page that may not go out; the message says which and why."""


def mathml(latex: str, display: str) -> str:
    """An equation as MathML, which browsers set themselves. Raises `PageError` for LaTeX that is not understood."""
    from latex2mathml.converter import convert

    try:
        html = convert(latex.strip(), display=display)
    except Exception as error:  # the converter raises many kinds for what it cannot read
        raise PageError(f"equation ${latex.strip()}$ cannot be set: {type(error).__name__} {error}".rstrip()) from None
    if unknown := re.search(r">\s*(\\[A-Za-z]+)", html):
        raise PageError(f"equation ${latex.strip()}$ cannot be set: {unknown[1]} is not known")
    html = html.replace("<mo>&#x0002F;</mo>", '<mo lspace="0" rspace="0">/</mo>')  # 8/255, not 8 / 255
    return re.sub(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>", rf"<mrow>\1{_PRIME}</mrow>", html)


_PRIME = '<mo lspace="0" rspace="0">&#x02032;</mo>'  # raised by its own shape; as a superscript it would nearly vanish


def labels(notebook: str, shown: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What a reader calls the figures and tables of a notebook, by name, in the order of the page.

    The paper's have its numbers: `fig03_levels` is Figure 3, `table2_x` Table 2. Ours are counted through, section by
    section: Figure S5.1, Table S5.2; `x` after a number says that it is none of the paper's.
    """
    number, count, found = int(notebook.partition("_")[0]), Counter(), {}
    for name, about in shown.items():
        theirs = re.match(r"(fig|table)0*(\d+)([a-wyz]?)_", name)
        kind = str(about["kind"]).capitalize()
        count[kind] += theirs is None
        said = {"fig": "Figure", "table": "Table"}[theirs[1]] if theirs else kind
        found[name] = f"{said} {theirs[2]}{theirs[3]}" if theirs else f"{kind} S{number}.{count[kind]}"
    return found


def caption(name: str, about: Mapping[str, Any], longest: int = 300) -> str:
    """A figure's caption, without a full stop: its own, or the first sentence of its alt text, which says what is
    drawn; its topic where that is too long for one."""
    first = re.match(r"(.+?)(?<!\bEq)(?<!\bFig)\.(?=\s|$)", about.get("alt") or "", flags=re.DOTALL)
    said = about.get("caption") or (first[1] if first and len(first[1]) <= longest else topic(name))
    return said[:1].upper() + said[1:].removesuffix(".")


def captioned(html: str, said: str) -> str:
    """A table with its label, `said`, at the head of its caption, where the caption itself may begin with it."""
    head = re.compile(rf"<caption>\s*(?:{re.escape(said)}[:.,]?\s*)?(\S)")
    return head.sub(lambda found: f"<caption><b>{said}.</b> {found[1].upper()}", html, count=1)


def topic(name: str) -> str:
    """`fig03_continuity_levels` -> "continuity levels", `fig12_gradcam` -> "GradCAM"."""
    words = re.sub(r"^(?:(?:fig|table|s)?\d+[a-z]*_)", "", name).split("_")
    return " ".join(_SPELLINGS.get(word, word) for word in words)


_SPELLINGS = {"gradcam": "GradCAM", "lime": "LIME", "autoattack": "AutoAttack", "irm": "IRM"}


def thumbnail(picture: Path, width: int = 420) -> dict[str, Any]:
    """A small copy of a picture as a data address, with its size."""
    from PIL import Image

    with Image.open(picture) as image:
        small = image.convert("RGB")
        small.thumbnail((width, width))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82, method=4)
    address = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"thumbnail": address, "width": small.width, "height": small.height}


# --- checks -----------------------------------------------------------------------------------------------------------

_LOADS = {"src", "srcset", "data", "poster", "background", "xlink:href", "action", "formaction", "ping"}
_NO_ALT = ("", "No description has been provided for this image")


class _Reader(HTMLParser):
    """Collects what is wrong with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        said = dict(attributes)
        if tag == "img" and (said.get("alt") or "").strip() in _NO_ALT:
            self.faults.append(f"a picture without alt text ({(said.get('src') or '')[:40]})")
        loads = _LOADS | ({"href"} if tag in ("link", "use", "image", "base") else set())
        for name in loads & set(said):
            if not (said[name] or "").startswith("data:"):
                self.faults.append(f"<{tag} {name}> loads {said[name]!r}")
        if tag in ("script", "iframe", "object", "embed"):
            self.faults.append(f"a <{tag}>, which may load something")
        if "url(" in (said.get("style") or ""):
            self.faults.append(f"a style that loads something ({said['style'][:60]})")


def check_page(html: str, where: str) -> None:
    """Hold a page to its promises: a `<nav>`, alt text on every picture, no traceback, nothing loaded from outside.

    Raises `PageError` that names the page and the first fault.
    """
    reader = _Reader()
    reader.feed(html)
    faults = reader.faults
    if "nav" not in reader.tags:
        faults.append("no navigation")
    if "Traceback (most recent call last)" in html:
        faults.append("a traceback")
    for style in re.findall(r"<style[^>]*>(.*?)</style>", html, flags=re.DOTALL):
        if re.search(r"@import|url\((?!['\"]?data:)", style):
            faults.append("a style sheet that loads something")
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise PageError(f"{where} has {faults[0]}{more}")
