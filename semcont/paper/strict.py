"""Strict reading of settings: a mapping becomes a dataclass, or an error names the key and the nearest valid one."""

import types
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .paths import UserError


class SettingsError(UserError, ValueError):
    """An unknown key, a wrong type or an impossible value; the message names key and file."""


def nearest(name: str, valid) -> str:
    """ "; did you mean 'alpha'?" for the valid name most like `name`, or "" where there is none."""
    close = get_close_matches(str(name), [str(v) for v in valid], 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def read_yaml(path: Path) -> Any:
    """A YAML 1.2 file as plain values. Raises `SettingsError` where it cannot be read or holds a key twice."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise SettingsError(f"{path}: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def build(kind: type, mapping: Any, where: str, prefix: str = ""):
    """`mapping` as the dataclass `kind`; `where` is the file that messages name."""
    if not isinstance(mapping, dict):
        raise SettingsError(f"{where}: {prefix.rstrip('.') or 'the file'} must be a mapping, not {_came(mapping)}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key in mapping:
        if key not in known:
            raise SettingsError(f"{where}: unknown key {prefix}{key}{nearest(key, known)}")
    values = {}
    for name, field in known.items():
        if name in mapping:
            values[name] = convert(hints[name], mapping[name], where, prefix + name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(f"{where}: key {prefix}{name} is missing")
    try:
        return kind(**values)
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f"{where}: {prefix.rstrip('.') + ': ' if prefix else ''}{error}") from None


def convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """`value` as `kind`: int (also where float is asked), float, str, bool, a tuple of these, `| None`, a dataclass."""
    if is_dataclass(kind):
        return build(kind, value, where, f"{key}.")
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        if value is None and type(None) in arguments:
            return None
        return convert(next(a for a in arguments if a is not type(None)), value, where, key)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(convert(arguments[0], item, where, f"{key}[{k}]") for k, item in enumerate(value))
    if origin is Literal and value in arguments:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if origin is Literal:
        raise SettingsError(
            f"{where}: {key} must be one of {', '.join(map(repr, arguments))}, "
            f"not {_came(value)}{nearest(value, arguments)}"
        )
    raise SettingsError(f"{where}: {key} must be {_name(kind)}, not {_came(value)}")


def _name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"a list of {_name(get_args(kind)[0])}s"
    return {int: "an integer", float: "a number", str: "a string", bool: "true or false"}.get(kind, str(kind))


def _came(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"
