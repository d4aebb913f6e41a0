"""What can be cached: a function from a run to a tidy table, with a version that is raised when its results change."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from .strict import SettingsError, nearest


class Measurement:
    """A section's function `f(run, *, settings...) -> DataFrame` with its name and version; see `measurement`."""

    def __init__(self, function: Callable[..., pd.DataFrame], version: int, pictures: bool = False) -> None:
        self.function, self.version, self.pictures = function, version, pictures
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self._defaults = {
            p.name: p.default
            for p in list(inspect.signature(function).parameters.values())[1:]
            if p.default is not p.empty
        }
        self._names = list(inspect.signature(function).parameters)[1:]

    def __call__(self, run, **settings) -> pd.DataFrame:
        return self.function(run, **settings)

    def complete(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings with the function's defaults, as JSON would give them back: so a default and its value are one
        key.

        Raises `SettingsError` for an unknown setting, or one that is not a plain value.
        """
        for name in settings:
            if name not in self._names:
                raise SettingsError(f"{self.name} has no setting {name!r}{nearest(name, self._names)}")
        try:
            return json.loads(json.dumps(self._defaults | settings, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{self.name}: settings must be plain values ({error})") from None


def measurement(version: int = 1, pictures: bool = False) -> Callable[[Callable[..., pd.DataFrame]], Measurement]:
    """Decorate a section's function, so that `measured` caches its table under name, version and settings.

    `pictures` says that the table shows single images, pixel by pixel: of data that are not bundled it is not
    published.
    """
    return lambda function: Measurement(function, version, pictures)
