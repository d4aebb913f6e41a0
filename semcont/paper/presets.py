"""Presets: an experiment as data. A commented YAML file becomes a tree of frozen dataclasses, strictly."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from .. import losses, models
from ..training import Recipe, option
from . import paths
from .budgets import (
    Continuity,
    Discontinuity,
    Fairness,
    Features,
    Gradients,
    Interpretability,
    Ledger,
    Robustness,
    Transfer,
)
from .strict import SettingsError, build, convert, nearest, read_yaml


def _between(name: str, value: float, low: float, high: float = float("inf")) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], not {value!r}")


@dataclass(frozen=True)
class Data:
    """Which images: a name that `semcont.load` knows, sizes of the splits (None: the set's own), its seed."""

    name: str
    seed: int = 0
    train: int | None = None
    val: int | None = None
    test: int | None = None
    rho: float | None = None  # PhotoDigits: chance that the photograph is the one paired with the digit's class

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            if getattr(self, name) is not None:
                _between(name, getattr(self, name), 1)
        if self.rho is not None:
            _between("rho", self.rho, 0, 1)


@dataclass(frozen=True)
class Model:
    """Which network: a name that `semcont.build` knows, its first stage's channels, its stem, its normalisation."""

    name: str
    width: int = 64
    stem: Literal["cifar", "cifar-stride2", "imagenet"] = "cifar"
    norm: Literal["batch", "group"] = "batch"

    def __post_init__(self) -> None:
        _between("width", self.width, 1, 4096)


@dataclass(frozen=True)
class Training(Recipe):
    """`semcont.training.Recipe`, how many validation images each epoch's monitor attacks, how weights are written."""

    monitor: int = 200  # images; 0 for none
    stored: Literal["float32", "float16"] = option("float32")  # what is measured is what was written


@dataclass(frozen=True)
class Constraint:
    """The third term of the objective: its weight for each kind of arm, and P."""

    alpha: float = 1.0
    level: int = 1
    use_hue: bool = True
    reduction: Literal["sum", "mean"] = "sum"
    detach: bool = False
    forward_both: bool = False
    beta: float = 6.0
    squeeze: float = 0.01
    sigma: float = 0.04

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "squeeze", "sigma"):
            _between(name, getattr(self, name), 0)
        _between("level", self.level, 1, 4)


@dataclass(frozen=True)
class Attack:
    """PGD: radius and step in units of 1/255, and the number of steps."""

    eps: float = 8
    step_size: float = 2
    steps: int = 10

    def __post_init__(self) -> None:
        _between("eps", self.eps, 0, 255)
        _between("step_size", self.step_size, 0, 255)
        _between("steps", self.steps, 1)

    def in_pixels(self) -> dict[str, Any]:
        """The arguments of `semcont.pgd`, whose images lie in [0, 1]."""
        return {"eps": self.eps / 255, "step_size": self.step_size / 255, "steps": self.steps}


@dataclass(frozen=True)
class Floors:
    """Accuracies below which the networks are not worth looking at; 0 where a preset claims nothing."""

    clean: float = 0.0  # `base`, test images
    attacked: float = 0.0  # `adv` and `adv+c`, under `evaluation`


@dataclass(frozen=True)
class Preset:
    """One experiment: data x network x training x the arms and seeds to run, and each section's budget."""

    name: str
    description: str
    arms: tuple[str, ...]
    seeds: int
    threads: int
    data: Data
    model: Model
    training: Training
    constraint: Constraint
    attack: Attack  # in training
    evaluation: Attack = field(default_factory=Attack)
    floors: Floors = field(default_factory=Floors)
    discontinuity: Discontinuity = field(default_factory=Discontinuity)
    gradients: Gradients = field(default_factory=Gradients)
    continuity: Continuity = field(default_factory=Continuity)
    features: Features = field(default_factory=Features)
    robustness: Robustness = field(default_factory=Robustness)
    interpretability: Interpretability = field(default_factory=Interpretability)
    transfer: Transfer = field(default_factory=Transfer)
    fairness: Fairness = field(default_factory=Fairness)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in losses.ARMS:
                raise ValueError(f"arms: unknown arm {arm!r}{nearest(arm, losses.ARMS)}")
        if len(set(self.arms)) != len(self.arms) or not self.arms:
            raise ValueError(f"arms must be distinct and at least one, not {list(self.arms)}")
        if self.model.name not in models.RESNETS and not self.model.name.isidentifier():
            raise ValueError(
                f"model.name: unknown network {self.model.name!r}{nearest(self.model.name, models.RESNETS)}"
            )
        _between("seeds", self.seeds, 1)
        _between("threads", self.threads, 1)


def load_preset(name: str | Path) -> Preset:
    """The preset of that name (presets/<name>.yaml), or of a YAML file.

    Raises `SettingsError` for an unknown preset or key, a wrong type, or an impossible value; it names key, file and
    the nearest valid name.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = paths.resource("presets/quick.yaml").parent
        path = folder / f"{name}.yaml"
        if not path.is_file():
            known = sorted(file.stem for file in folder.glob("*.yaml"))
            raise SettingsError(f"unknown preset {str(name)!r}{nearest(str(name), known)} (one of {', '.join(known)})")
    return build(Preset, read_yaml(path), str(path.name))


# --- changes ----------------------------------------------------------------------------------------------------------

_GROUPS = {"data": Data, "model": Model, "training": Training, "constraint": Constraint, "attack": Attack}
_RENAMED = {("data", "name"): "data", ("data", "seed"): "data_seed", ("model", "name"): "model"}


def changeable() -> dict[str, tuple[str, str]]:
    """What `trained` lets a caller change: name -> (group of the preset, its key)."""
    return {
        _RENAMED.get((group, f.name), f.name): (group, f.name) for group, kind in _GROUPS.items() for f in fields(kind)
    }


def changed(preset: Preset, changes: dict[str, Any]) -> Preset:
    """The preset with `changes` to what training uses. Raises `SettingsError` naming a bad one and the nearest."""
    known = changeable()
    for name, value in changes.items():
        if name not in known:
            raise SettingsError(f"unknown change {name!r}{nearest(name, known)}")
        group, key = known[name]
        kind = get_type_hints(_GROUPS[group])[key]
        try:
            part = replace(getattr(preset, group), **{key: convert(kind, value, "changes", name)})
        except SettingsError:
            raise
        except ValueError as error:
            raise SettingsError(f"changes: {error}") from None
        preset = replace(preset, **{group: part})
    return preset
