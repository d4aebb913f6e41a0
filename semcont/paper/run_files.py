"""The files of one run in its folder: a checkpoint while it trains, and in the end weights, history, settings, record.

Every file is written whole, the record last; what is read is checked against the digests that a record or a checkpoint
states. `runs` says which run a folder is of.
"""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from . import store
from .presets import Preset

WEIGHTS, HISTORY, SETTINGS, RECORD = "weights.safetensors", "history.csv", "settings.json", "record.json"
CHECKPOINT = "checkpoint.json"
"""Names the last checkpoint and its digest."""


def finish(folder: Path, tensors, history, made: dict, seconds: float, device: str, preset: Preset) -> None:
    """Write what a trained run consists of, the record last, and remove the checkpoint."""
    from safetensors.torch import save_file

    table = pd.DataFrame(history, columns=None if history else ["epoch"])
    store.write_whole(folder / WEIGHTS, lambda part: save_file(tensors, part))
    store.write_whole(folder / HISTORY, lambda part: table.to_csv(part, index=False))
    files = {name: store.sha256(folder / name) for name in (WEIGHTS, HISTORY, SETTINGS)}
    provenance = store.provenance(device, preset.threads)
    if preset.training.compile:
        provenance["compiled"] = True
    store.write_json(folder / RECORD, made | {"files": files, "seconds": round(seconds, 2)} | provenance)
    for leftover in [*folder.glob("checkpoint*"), *folder.glob("*.part")]:
        leftover.unlink(missing_ok=True)


def stored(network: nn.Module, precision: str) -> dict[str, torch.Tensor]:
    """The weights as they are written: what is measured later is read from there, at this precision."""
    kind = getattr(torch, precision)
    values = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return {name: value.to(kind) if value.is_floating_point() else value for name, value in values.items()}


def save_checkpoint(folder: Path, state: dict) -> None:
    """Write what a broken run goes on from, and remove the checkpoint before."""
    path = folder / f"checkpoint-{state['epoch']:04d}.pt"
    store.write_whole(path, lambda part: torch.save(state, part))
    store.write_json(folder / CHECKPOINT, {"file": path.name, "sha256": store.sha256(path)})
    for older in folder.glob("checkpoint-*.pt"):
        if older != path:
            older.unlink()


def resumable(folder: Path, settings: dict) -> dict | None:
    """The last checkpoint of a broken run, verified; None where there is none. Raises `BrokenStore`."""
    if not any(not file.name.endswith(".part") for file in folder.iterdir()):
        return None
    if (folder / SETTINGS).is_file():
        _same_settings(folder, store.read_json(folder / SETTINGS, _remedy(folder)), settings)
    expected = {}
    if (folder / CHECKPOINT).is_file():
        named = store.read_json(folder / CHECKPOINT, _remedy(folder))
        expected = {named["file"]: named["sha256"]}
    # A kill may come before the record, or after the new checkpoint.
    finished = (SETTINGS, CHECKPOINT, WEIGHTS, HISTORY)
    others = lambda name: name in finished or (name.startswith("checkpoint-") and name.endswith(".pt"))  # noqa: E731
    store.check_files(folder, expected, others, _remedy(folder))
    if not expected:
        return None
    return torch.load(folder / next(iter(expected)), map_location="cpu", weights_only=True)


def _same_settings(folder: Path, found: dict, settings: dict) -> None:
    if store.digest(found) != store.digest(settings):
        raise store.BrokenStore(f"{folder / SETTINGS} belongs to another run: {_remedy(folder)}")


def verified(folder: Path, settings: dict) -> dict:
    """The record of a finished run of these settings, its files checked. Raises `BrokenStore`."""
    record = store.read_json(folder / RECORD, _remedy(folder))
    if not isinstance(record, dict) or not {"settings", "files", "classes"} <= set(record):
        raise store.BrokenStore(f"{folder / RECORD} is not a run's record: {_remedy(folder)}")
    _same_settings(folder, record["settings"], settings)
    if set(record["files"]) != {WEIGHTS, HISTORY, SETTINGS}:
        raise store.BrokenStore(f"{folder / RECORD} names other files than a run has: {_remedy(folder)}")
    allowed = (RECORD, "measured")
    leftovers = lambda name: name in allowed or name.startswith("checkpoint")  # noqa: E731
    store.check_files(folder, record["files"], leftovers, _remedy(folder))
    return record


def _remedy(folder: Path) -> str:
    return f"delete the folder {folder} and run again to train it anew"
