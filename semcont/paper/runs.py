"""The store of trained networks and of what was measured on them.

A run is named by what determines its weights: training settings, arm, seed, changes, the data's fingerprint and
`training.RECIPE`. Finished runs are loaded, broken ones resumed, and nothing is trusted for merely being there.
"""

from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Generator, nn

from .. import datasets, distributed, losses, models, training
from . import devices, monitoring, paths, run_files, shelf, store, weights
from .images import source_of, split_of
from .measurements import Measurement
from .presets import Preset, Training, changed
from .run_files import RECORD
from .strict import SettingsError, nearest

_HOW = ("monitor", "workers", "compile")  # settings of training that do not determine the weights


@dataclass(frozen=True, eq=False)
class Run:
    """One trained network: what determines it, and where its files lie. `preset` holds the changes applied."""

    preset: Preset
    arm: str
    seed: int
    changes: dict[str, Any]
    key: str
    folder: Path
    record: dict[str, Any]
    device: str = "cpu"

    def model(self, device: str | None = None) -> nn.Module:
        """The network in eval mode, fresh from the file."""
        from safetensors.torch import load_file

        network = weights.network_of(self.preset, len(self.record["classes"]), None)
        network.load_state_dict(load_file(self.folder / run_files.WEIGHTS))
        return network.to(device or self.device).eval()

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch: loss and its terms, training and validation accuracy, accuracy under attack, lr."""
        return pd.read_csv(self.folder / run_files.HISTORY)

    def images(self, split: str, **options) -> datasets.ImageSet:
        """A split of the data set that this run was trained on; options as in `semcont.load`, e.g. `rho=0.0`."""
        return split_of(self.preset, split, **options).to(self.device)

    def generator(self, name: str) -> Generator:
        """A generator for measuring, seeded by (seed, name): no two uses share a stream."""
        return Generator().manual_seed(int(store.digest([self.seed, name], 15), 16))


def trained(preset: Preset, arm: str, seed: int, *, device: str | None = None, **changes) -> Run:
    """The run of that arm and seed: loaded where it is finished, resumed where it was broken off, else trained.

    One that is published with the project is taken from there, and a line says so.

    `changes` are named settings of training that differ from the preset's (`alpha=0.1`, `data="color_digits"`,
    `epochs=5`, ...), and `start=run`, to begin with another run's weights (with a fresh head where the classes
    differ); `start="base"` is that arm of the preset as it is, on this seed. `epochs=0` gives the network of
    `model.weights` as it is. An arm whose weight is 0 is its plain arm.
    Raises `SettingsError` for an unknown arm or change, `BrokenStore` for a truncated, altered or foreign file,
    `TrainingError` where the loss is not finite.

    Under `torchrun` the processes train it together, and the first one alone looks for files and writes them.
    """
    own, arm, changes, start = _resolved(preset, arm, seed, changes)
    start = trained(preset, start, seed, device=device) if isinstance(start, str) else start
    preset, device = own, devices.of(own, device)
    data, settings, key, folder = _named(preset, arm, seed, start)
    lock = store.locked(paths.runs() / "locks" / f"{key}.lock")
    with distributed.joined(device) as world, lock if world.first else nullcontext():
        if world.agree(lambda: not _at_hand(folder, arm, seed)):
            with devices.threads(preset.threads):
                _train(preset, arm, seed, data, settings, folder, device, start)
        record = world.agree(lambda: run_files.verified(folder, settings))
    return Run(preset, arm, seed, changes, key, folder, record, device)


def _at_hand(folder: Path, arm: str, seed: int) -> bool:
    """Whether the store has the run, or the shelf, from which it is then taken with a word."""
    if (folder / RECORD).is_file():
        return True
    found = shelf.fetch(folder)
    if found:
        print(f"{arm}, seed {seed}: the published network {folder.name}, not trained here", flush=True)
    return found


def finished(preset: Preset, arm: str, seed: int, **changes) -> Run | None:
    """That run where the store or the shelf has it finished, on the CPU; None where it would have to be trained.

    Arguments and errors as for `trained`.
    """
    own, arm, changes, start = _resolved(preset, arm, seed, changes)
    start = _unmade(preset, start, seed) if isinstance(start, str) else start
    _, settings, key, folder = _named(own, arm, seed, start)
    if not (folder / RECORD).is_file() and not shelf.fetch(folder):
        return None
    return Run(own, arm, seed, changes, key, folder, run_files.verified(folder, settings))


def folder_of(preset: Preset, arm: str, seed: int, **changes) -> Path:
    """Where the store keeps that run, whether it is there or not; arguments and errors as for `trained`."""
    own, arm, _, start = _resolved(preset, arm, seed, changes)
    start = _unmade(preset, start, seed) if isinstance(start, str) else start
    return _named(own, arm, seed, start)[-1]


def _unmade(preset: Preset, arm: str, seed: int) -> Run:
    """An arm's run with its name and no record, whether it is there or not."""
    *_, key, folder = _named(preset, arm, seed, None)
    return Run(preset, arm, seed, {}, key, folder, record={})


def _named(preset: Preset, arm: str, seed: int, start: Run | None) -> tuple[Any, dict, str, Path]:
    """A run's training data (None for no epochs), the settings that determine it, its key, its folder."""
    if preset.training.refit and "full" not in datasets.splits(preset.data.name):
        raise SettingsError(f"training.refit: {preset.data.name} has no split 'full'; set it to false")
    data = source_of(preset, "full" if preset.training.refit else "train") if preset.epochs_of(arm) else None
    settings = plan(preset, arm, seed) | {"start": start.key if start else None}
    settings["fingerprint"] = data.fingerprint if data else None
    if weights.given(preset.model) and start is None:
        settings["weights"] = weights.digest(preset.model)
    key = store.digest(settings)
    return data, settings, key, paths.runs() / f"{arm}-s{seed}-{key}"


def _resolved(preset: Preset, arm: str, seed: int, changes: dict) -> tuple[Preset, str, dict, Run | str | None]:
    if arm not in losses.ARMS:
        raise SettingsError(f"unknown arm {arm!r}{nearest(arm, losses.ARMS)} (one of {', '.join(losses.ARMS)})")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingsError(f"seed must be an integer of at least 0, not {seed!r}")
    start = changes.pop("start", None)
    if start is not None and not isinstance(start, Run) and start not in losses.ARMS:
        raise SettingsError(f"start must be a run or an arm, not {start!r}{nearest(start, losses.ARMS)}")
    preset = changed(preset, changes)
    if losses.ARMS[arm].weight and weight_of(preset, arm) == 0 and not preset.constraint.forward_both:
        arm = losses.plain_arm(arm)
    return preset, arm, changes, start


def plan(preset: Preset, arm: str, seed: int) -> dict[str, Any]:
    """What determines a run's weights, less the data's fingerprint and the start: only what this arm uses."""
    kind = losses.ARMS[arm]
    constraint = _settings(preset.constraint)
    used = {"forward_both"} | ({kind.weight, "reduction", "detach"} if kind.weight else set())
    used |= {"distance"} if kind.weight and kind.distance == losses.CONSTRAINTS["l2"] else set()
    used |= {"two_pass"} if kind.perturbation != "none" else set()
    used |= {"photometric": {"level", "use_hue", "hue_level"}, "gaussian": {"sigma"}}.get(kind.perturbation, set())
    training_settings = {k: v for k, v in _settings(_recipe(preset, arm)).items() if k not in _HOW}
    return {
        "recipe": training.RECIPE,
        "arm": arm,
        "seed": seed,
        "data": _settings(preset.data),
        "model": {k: v for k, v in _settings(preset.model).items() if k != "weights"},  # their digest is in the key
        "training": training_settings,
        "constraint": {name: constraint[name] for name in sorted(used & set(constraint))},
        "attack": _settings(preset.attack) if kind.perturbation == "pgd" else None,
    }


def _recipe(preset: Preset, arm: str) -> Training:
    """How an arm is trained: the preset's way, for as long as that arm is."""
    return replace(preset.training, epochs=preset.epochs_of(arm))


def _settings(group) -> dict[str, Any]:
    """A group of a preset as plain values, less the options that are off."""
    values = asdict(group)
    return {
        f.name: values[f.name] for f in fields(group) if not (f.metadata.get("option") and values[f.name] == f.default)
    }


def weight_of(preset: Preset, arm: str) -> float:
    """The weight of an arm's third term, under whatever name the preset has it; 0 where there is none."""
    name = losses.ARMS[arm].weight
    return getattr(preset.constraint, name) if name else 0.0


def objective_of(preset: Preset, arm: str, network: nn.Module | None = None) -> losses.Objective:
    """The objective that a preset trains an arm with; `network` for its normaliser, where `attack.space` needs it."""
    std = None if network is None else models.channel_std(network)
    return losses.Objective(arm, **asdict(preset.constraint), attack=preset.attack.in_pixels(std))


def _train(preset, arm, seed, data, settings, folder, device, start) -> None:
    from time import perf_counter

    began = perf_counter()
    world = distributed.world()
    folder.mkdir(parents=True, exist_ok=True)
    if data is None:
        if world.first:
            network, classes = weights.taken_over(preset, start)
            store.write_json(folder / run_files.SETTINGS, settings)
            made = {"settings": settings, "classes": list(classes)}
            run_files.finish(
                folder, run_files.stored(network, "float32"), [], made, perf_counter() - began, device, preset
            )
        return
    network = weights.starting(preset, len(data.classes), seed, start).to(device)
    resume = world.agree(lambda: run_files.resumable(folder, settings))
    spent = resume.pop("seconds") if resume else 0.0
    if world.first:
        store.write_json(folder / run_files.SETTINGS, settings)
    with _progress(arm, seed, preset.epochs_of(arm), resume["epoch"] if resume else 0, world.first) as bar:

        def on_epoch(state: dict) -> None:
            if world.first:
                run_files.save_checkpoint(folder, state | {"seconds": spent + perf_counter() - began})
            bar.set_postfix_str(f"loss {state['history'][-1]['loss']:.3f}")
            bar.update()

        history = training.fit(
            network,
            data,
            objective_of(preset, arm, network),
            _recipe(preset, arm),
            seed=seed,
            resume=resume,
            on_epoch=on_epoch,
            monitor=_monitor(preset, device, world),
        )
    if world.first:
        made = {"settings": settings, "classes": list(data.classes), **_left_out(data)}
        seconds = spent + perf_counter() - began
        run_files.finish(
            folder, run_files.stored(network, preset.training.stored), history, made, seconds, device, preset
        )


def _left_out(data: datasets.ImageSet | datasets.Stream) -> dict[str, dict[str, str]]:
    """For the record: the files of a stream that this process left out as corrupt, with the reasons; nothing without
    any. Of several processes the first one's share is told; each warns of its own.
    """
    skipped = getattr(data, "skipped", None)
    return {"left_out": dict(sorted(skipped.items()))} if skipped else {}


def _progress(arm: str, seed: int, epochs: int, done: int, shown: bool):
    import os

    from tqdm import tqdm

    label = f"training {arm}, seed {seed}"
    silent = not shown or "SEMCONT_BATCH" in os.environ
    return tqdm(total=epochs, initial=done, desc=label, unit="epoch", leave=False, disable=silent)


def _monitor(preset: Preset, device: str, world: distributed.World) -> monitoring.Monitor | None:
    """None for a refit, which trains on the validation images."""
    if preset.training.refit or "val" not in datasets.splits(preset.data.name):
        return None
    val = source_of(preset, "val").to(device)
    return monitoring.monitor(val, preset.training.monitor, preset.evaluation.in_pixels(), world)


def per_batch(pixels: torch.Tensor) -> int:
    """How many of these images, (n, 3, h, w), go through a network at once in measuring: 500, fewer of large ones."""
    return max(1, min(500, 2**22 // (pixels.shape[2] * pixels.shape[3])))


@torch.no_grad()
def predict(network: nn.Module, images: datasets.ImageSet | torch.Tensor) -> torch.Tensor:
    """The logits (n, k) of a set of images, or of float images in [0, 1], batch by batch."""
    pieces = []
    batch_size = per_batch(images if isinstance(images, torch.Tensor) else images.images)
    for begin in range(0, len(images), batch_size):
        rows = slice(begin, begin + batch_size)
        x = images[rows] if isinstance(images, torch.Tensor) else images.float(rows)
        pieces.append(network(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(pieces)


# --- measurements -----------------------------------------------------------------------------------------------------


def measured(run: Run, function: Measurement, **settings) -> pd.DataFrame:
    """`function(run, **settings)`, cached under the run, the function's name and version, and the settings.

    Columns `arm` and `seed` come first. Settings are plain values. Raises `BrokenStore` for a damaged table.
    """
    if not isinstance(function, Measurement):
        raise SettingsError(
            f"{getattr(function, '__name__', function)!r} is not a measurement: decorate it with @measurement"
        )
    settings = function.complete(settings)
    name = f"{function.name}-{store.digest({'version': function.version, 'settings': settings})}"
    folder = run.folder / "measured"
    table, note = folder / f"{name}.parquet", folder / f"{name}.json"
    with store.locked(paths.runs() / "locks" / f"{run.key}-{name}.lock"):
        if not note.is_file():
            with devices.threads(run.preset.threads):
                result = function(run, **settings)
            store.write_whole(table, result.reset_index(drop=True).to_parquet)
            about = {"function": function.name, "version": function.version, "settings": settings}
            about |= {"pictures": True} if function.pictures else {}
            store.write_json(
                note, about | {"sha256": store.sha256(table)} | store.provenance(run.device, run.preset.threads)
            )
        about = store.read_json(note, f"delete {note} and run again to measure it anew")
        store.check_files(
            folder,
            {table.name: about.get("sha256", "")},
            lambda _: True,
            f"delete {note} and run again to measure it anew",
        )
    result = pd.read_parquet(table)
    label = {"arm": run.arm, "seed": run.seed} | {k: v for k, v in _varied(run).items() if k not in result}
    for place, (column, value) in enumerate(label.items()):
        if column not in result:
            result.insert(place, column, value)
    return result


def _varied(run: Run) -> dict[str, Any]:
    """The changes of a run as columns, so that tables of several runs can be told apart."""
    return {name: value for name, value in run.changes.items() if isinstance(value, int | float | str)}
