"""`name=value` words of the command line as typed values: whatever is wrong with them is said before anything runs."""

import json
from pathlib import Path
from typing import Any

from .. import paths
from ..strict import SettingsError, nearest
from . import parameters


def find_notebook(name: str) -> Path:
    """The notebook at a path, or the one of ours with that name: `05_robustness`, `robustness` or `05`.

    Raises `SettingsError` where there is none; it names the nearest.
    """
    path = Path(name)
    if path.is_file():
        return path.resolve()
    if len(path.parts) > 1:
        raise SettingsError(f"no notebook at {path}")
    ours = {found.stem: found for found in sorted(paths.notebooks().glob("*.ipynb"))}
    for stem, found in ours.items():
        number, _, topic = stem.partition("_")
        if path.name.removesuffix(".ipynb") in (stem, number, topic):
            return found
    raise SettingsError(f"no notebook {name!r} in {paths.notebooks()}{nearest(path.stem, ours)}")


def split(words: list[str]) -> dict[str, str]:
    """`["seed=1", "preset=smoke"]` as a mapping of strings; `SettingsError` for what has no `=`, or comes twice."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"{word!r} is not of the form name=value")
        if name in pairs:
            raise SettingsError(f"{name} is given twice")
        pairs[name] = text
    return pairs


def for_notebook(notebook: Path, words: list[str]) -> dict[str, Any]:
    """The words as parameters of the notebook, in the types that its `parameters` cell annotates.

    Raises `SettingsError` naming an unknown parameter and the nearest valid one, or the type asked for (`seed=one`).
    """
    allowed = parameters.declared(notebook)
    texts = split(words)
    typed = {name: _value(text, allowed[name][0] if name in allowed else str) for name, text in texts.items()}
    return parameters.check(typed, allowed, notebook.name)


def for_training(words: list[str]) -> dict[str, Any]:
    """The words as changes of `trained`: numbers, true, false and null as JSON has them, anything else a string."""
    return {name: _json(text, text) for name, text in split(words).items()}


def _value(text: str, kind: type) -> Any:
    """`text` as a value that may be of that kind; what is not stays a string, which `check` then refuses by name."""
    return text if kind is str else _json(text, text)


def _json(text: str, otherwise: Any) -> Any:
    def refuse(constant: str):
        raise ValueError(f"{constant} is not a number to train with")

    try:
        value = json.loads(text, parse_constant=refuse)
    except ValueError:
        return otherwise
    return otherwise if isinstance(value, dict | list) or value in (float("inf"), float("-inf")) else value
