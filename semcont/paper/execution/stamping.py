"""The graph's signs of success for networks that are trained already, written by one process.

Snakemake would start a process for each of them, of which every one imports torch to find that nothing is left to do:
minutes for a preset of hundreds of networks.
"""

from typing import Any

from ...datasets import DataError
from .. import paths, presets, runs, store
from . import arguments, graph, pipeline


def content(run: runs.Run) -> dict[str, Any]:
    """What the stamp of a trained network says: which run it is, and what it took."""
    return {"key": run.key, "folder": run.folder.name, "seconds": run.record["seconds"]}


def found(argument: str) -> int:
    """Write the stamp of every network of a preset's graph that the store or the shelf has; how many were written.

    A stamp at least as new as all that a training depends on stays as it is. What cannot be settled here (a damaged
    run, data that are not at hand) is left to the step that trains the network, which says what is wrong with it.
    """
    plan, preset = graph.make_plan(argument), presets.load_preset(argument)
    written = 0
    for stamp in pipeline.stale(plan):
        if run := _finished(preset, plan["train"][stamp.stem]):
            store.write_json(stamp, content(run))
            written += 1
    return written


def _finished(preset: presets.Preset, job: dict[str, Any]) -> runs.Run | None:
    try:
        return runs.finished(preset, job["arm"], job["seed"], **arguments.for_training(job["changes"]))
    except (paths.UserError, DataError, OSError):
        return None
