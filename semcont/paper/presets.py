"""Presets: an experiment as data. A commented YAML file becomes a tree of frozen dataclasses, strictly."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from torch import Tensor

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
from .budgets_beyond import Controls, Frontier, Lengths, Stems, Tuning
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
    size: int | None = option(None)  # pixels of the crop of streamed pictures; None for 224
    corrupt: Literal["fatal", "skip"] | None = option(None)  # streamed files that cannot be decoded; None for fatal
    labels: Literal["own", "imagenet"] = option("own")  # the data's classes, or where they stand among ImageNet's 1,000
    variant: Literal["standard", "conflict", "background"] = option("standard")  # PhotoDigits: see `semcont.load`

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            if getattr(self, name) is not None:
                _between(name, getattr(self, name), 1)
        if self.rho is not None:
            _between("rho", self.rho, 0, 1)
        if self.size is not None:
            _between("size", self.size, 1)


@dataclass(frozen=True)
class Model:
    """Which network: a name that `semcont.build` knows, its first stage's channels, its stem, its normalisation, and
    whose weights it starts from: nobody's, torchvision's, or a file's (`semcont.paper.weights`).
    """

    name: str
    width: int = 64
    stem: Literal["cifar", "cifar-stride2", "cifar-averaged", "imagenet"] = "cifar"
    norm: Literal["batch", "group"] = "batch"
    weights: str = option("none")  # none, imagenet, or a .safetensors or .pth file

    def __post_init__(self) -> None:
        _between("width", self.width, 1, 4096)
        if self.weights not in ("none", "imagenet") and not self.weights.endswith((".safetensors", ".pth")):
            hint = nearest(self.weights, ("none", "imagenet"))
            raise ValueError(
                f"weights must be none, imagenet, or a .safetensors or .pth file, not {self.weights!r}{hint}"
            )


@dataclass(frozen=True)
class Training(Recipe):
    """`semcont.training.Recipe`, how many validation images each epoch's monitor attacks, how weights are written."""

    monitor: int = 200  # images; 0 for none
    refit: bool = option(False)  # train on train + val (the split "full"), once every choice is made
    workers: int | None = option(None)  # processes that decode a set that is streamed; None: one per core
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
    distance: Literal["l2", "cosine", "kl"] = option("l2")
    two_pass: bool = option(False)
    hue_level: int | None = option(None)  # of P's hue alone; None for `level`

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "squeeze", "sigma"):
            _between(name, getattr(self, name), 0)
        _between("level", self.level, 1, 4)
        if self.hue_level is not None:
            _between("hue_level", self.hue_level, 1, 4)


@dataclass(frozen=True)
class Attack:
    """PGD: radius and step in units of 1/255, the number of steps, and of which images radius and step are meant.

    "normalised" means them after the network's own normaliser, so that in pixels they shrink by its standard deviation;
    "normalised-unclamped" does so and lets x' leave the range of pixels.
    """

    eps: float = 8
    step_size: float = 2
    steps: int = 10
    space: Literal["pixels", "normalised", "normalised-unclamped"] = option("pixels")

    def __post_init__(self) -> None:
        _between("eps", self.eps, 0, 255)
        _between("step_size", self.step_size, 0, 255)
        _between("steps", self.steps, 1)

    def in_pixels(self, std: Tensor | None = None) -> dict[str, Any]:
        """The arguments of `semcont.pgd`, whose images lie in [0, 1].

        `std` (1, 3, 1, 1) is what the network divides each channel by (`models.channel_std`), needed in normalised
        space.
        """
        settings = {"eps": self.eps / 255, "step_size": self.step_size / 255, "steps": self.steps}
        if self.space == "pixels":
            return settings
        if std is None:
            raise ValueError(f"an attack in {self.space} space needs the channels' standard deviation")
        settings |= {name: settings[name] * std for name in ("eps", "step_size")}
        return settings | ({"bounds": None} if self.space == "normalised-unclamped" else {})


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
    device: Literal["auto", "cpu", "cuda"] = "auto"  # "auto": a GPU where there is one
    evaluation: Attack = field(default_factory=Attack)
    floors: Floors = field(default_factory=Floors)
    notebooks: tuple[str, ...] = ()  # those that make sense on these data; empty: all
    discontinuity: Discontinuity = field(default_factory=Discontinuity)
    gradients: Gradients = field(default_factory=Gradients)
    continuity: Continuity = field(default_factory=Continuity)
    features: Features = field(default_factory=Features)
    robustness: Robustness = field(default_factory=Robustness)
    interpretability: Interpretability = field(default_factory=Interpretability)
    transfer: Transfer = field(default_factory=Transfer)
    fairness: Fairness = field(default_factory=Fairness)
    few_arms: tuple[str, ...] = ()  # arms that get fewer seeds than the others
    few_seeds: int | None = None
    long_arms: tuple[str, ...] = ()  # arms that train for longer than `training.epochs`
    long_epochs: int | None = None
    controls: Controls = field(default_factory=Controls)
    lengths: Lengths = field(default_factory=Lengths)
    frontier: Frontier = field(default_factory=Frontier)
    stems: Stems = field(default_factory=Stems)
    tuning: Tuning = field(default_factory=Tuning)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        named = {"arms": self.arms, "lengths.arms": self.lengths.arms, "frontier.arms": self.frontier.arms}
        named |= {"lengths.doubled": self.lengths.doubled, "lengths.halved": self.lengths.halved}
        named |= {"controls.ablated": self.controls.ablated, "stems.arms": self.stems.arms}
        for key, arms in named.items():
            for arm in arms:
                if arm not in losses.ARMS:
                    raise ValueError(f"{key}: unknown arm {arm!r}{nearest(arm, losses.ARMS)}")
        if len(set(self.arms)) != len(self.arms) or not self.arms:
            raise ValueError(f"arms must be distinct and at least one, not {list(self.arms)}")
        if self.model.name not in models.RESNETS and not self.model.name.isidentifier():
            raise ValueError(
                f"model.name: unknown network {self.model.name!r}{nearest(self.model.name, models.RESNETS)}"
            )
        if self.evaluation.space != "pixels":
            raise ValueError(
                f"evaluation.space must be 'pixels', not {self.evaluation.space!r}: Table 2 is measured in pixels, and "
                "robustness.audit.eps_images measures the other space beside it"
            )
        if self.training.epochs == 0 and self.model.weights == "none":
            raise ValueError(
                "training.epochs: 0 leaves the network as it is: set model.weights, or epochs of at least 1"
            )
        if self.training.epochs and self.data.labels == "imagenet":
            raise ValueError(
                "data.labels: imagenet is for a network as it is: set training.epochs to 0, or labels to own"
            )
        _between("seeds", self.seeds, 1)
        _between("threads", self.threads, 1)
        if not set(self.few_arms) <= set(self.arms) or bool(self.few_arms) != (self.few_seeds is not None):
            raise ValueError(f"few_arms {list(self.few_arms)} must be arms of the preset, and go with few_seeds")
        _between("few_seeds", self.few_seeds or 1, 1, self.seeds)
        if not set(self.long_arms) <= set(self.arms) or bool(self.long_arms) != (self.long_epochs is not None):
            raise ValueError(f"long_arms {list(self.long_arms)} must be arms of the preset, and go with long_epochs")
        _between("long_epochs", self.long_epochs or 0, 0)
        for key in ("doubled", "halved"):
            both = set(self.lengths.arms) & set(getattr(self.lengths, key)) - set(self.long_arms)
            if both:
                names = ", ".join(sorted(both))
                raise ValueError(f"lengths.{key} names {names}, which lengths.arms has at every length")
        if odd := [arm for arm in self.lengths.halved if self.epochs_of(arm) % 2]:
            raise ValueError(f"lengths.halved names {', '.join(odd)}, whose {self.epochs_of(odd[0])} epochs are odd")

    def seeds_of(self, arm: str) -> int:
        """How many networks of an arm are trained: `few_seeds` of those in `few_arms`, else `seeds`."""
        return self.few_seeds if arm in self.few_arms and self.few_seeds else self.seeds

    def epochs_of(self, arm: str) -> int:
        """How long an arm trains: `long_epochs` for those in `long_arms`, else `training.epochs`."""
        return self.long_epochs if arm in self.long_arms else self.training.epochs

    def reads(self, notebook: str) -> bool:
        """Whether a notebook is among those that make sense under this preset."""
        return not self.notebooks or notebook in self.notebooks

    def check_notebook(self, name: str) -> None:
        """Raise `SettingsError` for a notebook that this preset leaves out."""
        if not self.reads(name):
            raise SettingsError(
                f"{name} is not for preset {self.name}, whose data and network suit {', '.join(self.notebooks)}"
            )


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


def differing(preset: Preset, arm: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Those of `changes` that are not the arm's own values already, so that a network has one name in the graph."""
    place = changeable()
    own = {name: getattr(getattr(preset, place[name][0]), place[name][1]) for name in changes if name != "start"}
    own |= {"epochs": preset.epochs_of(arm), "start": None}
    return {name: value for name, value in changes.items() if own[name] != value}


def changed(preset: Preset, changes: dict[str, Any]) -> Preset:
    """The preset with `changes` to what training uses; a length is every arm's.

    Raises `SettingsError` naming a bad one and the nearest.
    """
    known = changeable()
    values: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        if name not in known:
            raise SettingsError(f"unknown change {name!r}{nearest(name, known)}")
        group, key = known[name]
        kind = get_type_hints(_GROUPS[group])[key]
        values.setdefault(group, {})[key] = convert(kind, value, "changes", name)
    if preset.long_arms and "epochs" in changes:
        preset = replace(preset, long_epochs=values["training"]["epochs"])
    try:
        return replace(preset, **{group: replace(getattr(preset, group), **new) for group, new in values.items()})
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f"changes: {error}") from None
