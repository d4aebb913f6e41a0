"""A notebook's parameters: what its tagged cell declares, and whether given values fit."""

import ast
import json
from pathlib import Path
from typing import Any

from ..strict import SettingsError, convert, nearest

_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def declared(notebook: Path) -> dict[str, tuple[type, Any]]:
    """name -> (type, default) from the cell tagged `parameters`: lines `name: type = default`.

    Raises `SettingsError` where the file is no notebook, or has not exactly one such cell.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(f"{notebook} is not a notebook that can be read") from None
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise SettingsError(f"{notebook.name} has {len(tagged)} cells tagged 'parameters', not one")
    found = {}
    for line in ast.parse("".join(tagged[0]["source"])).body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            kind = _TYPES.get(ast.unparse(line.annotation))
            if kind is None:
                raise SettingsError(f"{notebook.name}: parameter {line.target.id} must be an int, float, str or bool")
            found[line.target.id] = (kind, ast.literal_eval(line.value))
    return found


def check(values: dict[str, Any], allowed: dict[str, tuple[type, Any]], where: str) -> dict[str, Any]:
    """`values` in the declared types. Raises `SettingsError` naming a bad one and the nearest valid."""
    for name in values:
        if name not in allowed:
            raise SettingsError(f"{where}: unknown parameter {name!r}{nearest(name, allowed)}")
    return {name: convert(allowed[name][0], value, where, name) for name, value in values.items()}
