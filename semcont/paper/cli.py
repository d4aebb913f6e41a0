"""The `semcont` command. It starts in a fraction of a second: the commands import what is heavy where they need it."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from . import catalogue, paths
from .execution import arguments, execute
from .strict import SettingsError

app = typer.Typer(
    help="semcont: train, measure and report the study of semantic continuity.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(catalogue.app, name="data")

PresetName = Annotated[str, typer.Option("--preset", "-p", help="A preset's name, or a YAML file.")]
Stamp = Annotated[Path | None, typer.Option(help="File to write as the sign of success (for the graph).")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...")]


@app.callback()
def _options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose.")] = False,
) -> None:
    if traceback:
        os.environ["SEMCONT_TRACEBACK"] = "1"


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="05_robustness, robustness, 05, or a path.")], words: Words = None
) -> None:
    """Execute one notebook with the parameters given as NAME=VALUE."""
    from .execution import pipeline

    start = time.monotonic()
    execution = execute.prepare(notebook, words or [])
    executed = execute.run(execution)
    print(f"ran      {execution.name}: {pipeline.duration(time.monotonic() - start)}", flush=True)
    print(f"executed notebook: {executed}", file=sys.stderr)


@app.command()
def train(
    arm: Annotated[str, typer.Option(help="A training condition: base, c, adv, adv+c, ...")],
    words: Words = None,
    preset: PresetName = "quick",
    seed: Annotated[int, typer.Option(help="Of the weights, the order of the data, P and the attack.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    stamp: Stamp = None,
) -> None:
    """Train one network with the changes given as NAME=VALUE; a finished one is found, a broken-off one resumed."""
    from . import store

    changes = arguments.for_training(words or [])
    os.environ |= execute.thread_limits(execute.name_and_threads(preset)[1])  # before torch starts its threads
    from . import presets, runs
    from .execution import stamping

    start = time.monotonic()
    found = runs.trained(presets.load_preset(preset), arm, seed, device=device, **changes)
    if os.environ.get("RANK", "0") != "0":  # of several processes that train one network, the first one speaks
        return
    if stamp is not None:
        store.write_json(stamp, stamping.content(found))
    shown = words or []
    shown = shown if len(shown) < 4 else [shown[0], f"{len(shown) - 1} more changes"]
    label = ", ".join([arm, f"seed {seed}", *shown])
    print(f"trained  {label}: {found.record['seconds']:.0f} s, now {time.monotonic() - start:.0f} s", flush=True)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def paper(
    context: typer.Context,
    preset: PresetName = "quick",
    cores: Annotated[int, typer.Option(min=1, help="Processor cores to use.")] = os.cpu_count() or 1,
) -> None:
    """Bring the whole paper up to date: train, run every notebook, publish figures, write the report.

    Further options go to Snakemake: `--dry-run`, `--keep-going`, `--workflow-profile workflow/profiles/NAME`.
    """
    from .execution import pipeline

    print(pipeline.run(preset, cores, context.args))


@app.command()
def report(preset: PresetName = "quick", stamp: Stamp = None) -> None:
    """Write the HTML pages of a preset from its executed notebooks."""
    from . import report, store

    files, written = report.build(preset)
    print(f"report   {len(files)} pages, {written} rewritten", flush=True)
    if stamp is not None:
        store.write_json(stamp, {"preset": preset, "files": files})


@app.command(hidden=True)
def publish(preset: PresetName = "quick", stamp: Stamp = None) -> None:
    """Copy the figures and tables that may be published into figures/PRESET."""
    from . import store
    from .publishing import figures

    files = figures.publish(preset)
    print(f"publish  {len(files)} figures and tables in {paths.figures(preset)}", flush=True)
    if stamp is not None:
        store.write_json(stamp, {"preset": preset, "files": files})


@app.command("publish-networks")
def publish_networks(
    preset: PresetName = "quick",
    seeds: Annotated[int, typer.Option("--seeds", help="How many of each arm's networks, from seed 0 on.")] = 1,
    beside: Annotated[
        bool, typer.Option("--beside", help="The networks beside the arms, too: lengths, alphas, ...")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="With --beside: a group to leave out; may be given again.")
    ] = None,
) -> None:
    """Copy the finished networks of a preset's arms, with what was measured on them, into data/checkpoints/PRESET."""
    from . import presets, published

    if without and not beside:
        raise SettingsError("--without leaves groups out of --beside, which is not given")
    settings = presets.load_preset(preset)
    names = published.publish(settings, seeds) + (published.publish_beside(settings, without or ()) if beside else [])
    print(f"publish  {len(names)} networks in {paths.checkpoints() / settings.name}", flush=True)


@app.command()
def cost(
    preset: Annotated[str | None, typer.Option("--preset", "-p", help="One preset; all of them otherwise.")] = None,
    here: Annotated[bool, typer.Option("--here", help="Measure how fast this machine trains it, too.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Bring the table in docs/scaling.md up to date.")] = False,
) -> None:
    """What presets cost: operations counted, hours estimated, and measured where they were."""
    from . import presets
    from .execution import cost

    chosen = [presets.load_preset(preset)] if preset else cost.every_preset()
    print(cost.table(chosen))
    for each in chosen if here else ():
        print(cost.said_here(each))
    if write and cost.update():
        print(f"wrote {cost.page()}")


@app.command(hidden=True)
def plan(preset: str) -> None:
    """Print the graph of a preset as JSON."""
    import json

    from .execution import graph

    print(json.dumps(graph.make_plan(preset)))


@app.command(hidden=True)
def stamps(preset: str) -> None:
    """Mark in the graph of a preset what is trained already, without a process for each network."""
    from .execution import stamping

    if written := stamping.found(preset):
        print(f"found    trained networks: {written}", flush=True)


@app.command()
def doctor() -> None:
    """Say what this installation runs on; fails only where it is broken."""
    from . import doctor

    lines, works = doctor.examine()
    print("\n".join(lines))
    raise SystemExit(0 if works else 1)


def main() -> None:
    """Run the command; what the user can mend becomes one line, not a traceback."""
    os.environ |= execute.cache_folders()
    try:
        app()
    except Exception as error:  # the traceback is one variable away
        if os.environ.get("SEMCONT_TRACEBACK"):
            raise
        mendable = isinstance(error, paths.UserError) or type(error).__name__ in ("DataError", "TrainingError")
        if not (mendable or isinstance(error, ValueError | OSError | MemoryError)):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        print(f"semcont: {said}{'' if mendable else ' (SEMCONT_TRACEBACK=1 shows where)'}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, paths.UserError) and isinstance(error, ValueError) else 1) from None
