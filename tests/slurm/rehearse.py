"""The graph on a real Slurm of one node: kills, a node that fails, and what is resumed. `make test-slurm` runs this.

It prints a transcript, and ends with 0 where everything was as it should be, with 1 where something was not, with 2
where Slurm is missing.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import onenode

from semcont.paper import paths, store

EPOCHS, KILLED, FAILED = 60, 5, 25
"""Of the network whose training is interrupted, a quarter of a second each: all; the job is killed; the node fails."""

TOLD = re.compile(
    r"Job \d+ has been submitted with SLURM jobid \d+|SLURM-job.*status is: '\w+'|Trying to restart job \d+"
    r"|^\d+ of \d+ steps.*|^(?:smoke|longer): .*|^semcont: .*|^again .*"
)
"""What the transcript repeats of Snakemake's lines and ours."""


class Failed(Exception):
    """Something was not as it should be."""


class Rehearsal:
    """One cluster, one folder for everything that is made, and the transcript."""

    def __init__(self, cluster: onenode.Cluster, folder: Path) -> None:
        self.cluster, self.folder, self.began = cluster, folder, time.monotonic()
        places = {name: str(folder / name.lower()) for name in ("RUNS", "REPORTS", "FIGURES")}
        self.environment = {**os.environ, **cluster.environment}
        self.environment |= {f"SEMCONT_{name}": place for name, place in places.items()}

    def say(self, *lines: str) -> None:
        """Print lines of the transcript, without the paths of this machine."""
        for line in lines:
            for path, name in ((self.folder, "TMP"), (paths.root(), "."), (self.cluster.folder, "CLUSTER")):
                line = line.replace(str(path), name)
            print(f"{time.monotonic() - self.began:6.0f} s  {line}", flush=True)

    def slurm(self, *command: str) -> str:
        self.say(f"$ {' '.join(command)}")
        said = self.cluster.call(*command)
        self.say(*said.splitlines())
        return said

    def paper(self, preset: str, *more: str) -> subprocess.Popen:
        """Start `semcont paper` on the cluster; it writes to <folder>/paper.out."""
        words = ["paper", "--preset", preset, "--workflow-profile", "workflow/profiles/slurm", *more]
        self.say(f"$ semcont {' '.join(words)}")
        # No accounting here, hence squeue; and looks more often than a large cluster would like.
        words += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"]
        words += ["--slurm-logdir", str(self.folder / "slurm"), "--cores", "1"]
        command = [sys.executable, "-m", "semcont.paper", *words]
        with (self.folder / "paper.out").open("w") as out:
            settings = {"stdout": out, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
            return subprocess.Popen(command, cwd=paths.root(), env=self.environment, **settings)

    def ended(self, started: subprocess.Popen, code: int, seconds: float = 1800) -> list[str]:
        """Wait for `semcont paper`, repeat what matters of what it said, and return all of it."""
        found = started.wait(seconds)
        said = (self.folder / "paper.out").read_text(errors="replace").splitlines()
        self.say(*[told[0] for line in said if (told := TOLD.search(line))])
        if found != code:
            raise Failed("\n".join([f"semcont paper ended with {found}, not {code}:", *said[-40:]]))
        return said

    def until(self, what: str, met: Callable[[], object], started: subprocess.Popen, seconds: float = 600):
        """Wait for something to be there while `semcont paper` runs, and return it."""
        end = time.monotonic() + seconds
        while not (found := met()):
            self.cluster.alive()
            if started.poll() is not None or time.monotonic() > end:
                said = (self.folder / "paper.out").read_text(errors="replace").splitlines()
                raise Failed("\n".join([f"no sign of {what}:", *said[-40:]]))
            time.sleep(0.1)
        return found

    def job(self, words: str) -> str | None:
        """The id of the running job whose comment, which the executor makes of rule and wildcards, holds `words`."""
        listed = self.cluster.call("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").splitlines()
        return next((line.split()[0] for line in listed if words in line), None)

    def epoch(self) -> int:
        """The last epoch that the run in the store has written down."""
        for note in (self.folder / "runs").glob("adv-s0-*/checkpoint.json"):
            return int(re.search(r"\d+", json.loads(note.read_text())["file"])[0])
        return 0

    def resumed(self) -> int:
        """The epoch at which the training that runs or ran last began, as its own log has it; -1 before it says."""
        log = self.folder / "reports" / "longer" / "logs" / "train" / "adv-s0-plain.log"
        found = re.search(rf"(\d+)/{EPOCHS} ", log.read_text(errors="replace")) if log.is_file() else None
        return int(found[1]) if found else -1


def interrupted(stage: Rehearsal) -> None:
    """One training, whose job is killed and whose node then fails; it ends with the weights of an undisturbed one."""
    stage.say(f"--- a training of {EPOCHS} epochs: its job is killed, then its node fails")
    text = (paths.root() / "presets" / "smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("name: smoke", "name: longer", 1).replace("  epochs: 1\n", f"  epochs: {EPOCHS}\n", 1)
    preset = stage.folder / "longer.yaml"
    preset.write_text(text, encoding="utf-8")
    stamp = stage.folder / "reports" / "longer" / "stamps" / "train" / "adv-s0-plain.json"
    started = stage.paper(str(preset), str(stamp))

    stage.until(f"epoch {KILLED}", lambda: stage.epoch() >= KILLED, started)
    reached = stage.epoch()
    stage.say(f"the store holds epoch {reached}: the job is killed")
    stage.slurm("scancel", "--signal=KILL", "--full", stage.job("train"))
    stage.until("the retry", lambda: stage.resumed() >= reached, started)
    stage.say(f"Snakemake has sent it again: it goes on after epoch {stage.resumed()}")

    stage.until(f"epoch {FAILED}", lambda: stage.epoch() >= FAILED, started)
    reached = stage.epoch()
    stage.say(f"the store holds epoch {reached}: the node fails")
    job = stage.job("train")
    stage.slurm("scontrol", "update", f"NodeName={onenode.NODE}", "State=DOWN", "Reason=rehearsal")
    stage.slurm("squeue", "--noheader", f"--jobs={job}", "--format=job %i: %T, waits for: %r")
    stage.slurm("scontrol", "update", f"NodeName={onenode.NODE}", "State=RESUME")
    stage.until("the job on the node again", lambda: stage.resumed() >= reached, started)
    stage.say(f"Slurm has sent job {job} again: it goes on after epoch {stage.resumed()}")
    stage.ended(started, 0)
    _same_weights(stage, preset)


def _same_weights(stage: Rehearsal, preset: Path) -> None:
    """Train once more, without Slurm and without a break, into another store, and compare."""
    stage.say("$ semcont train --preset longer.yaml --arm adv   (here, without a break, into another store)")
    environment = stage.environment | {"SEMCONT_RUNS": str(stage.folder / "undisturbed")}
    command = [sys.executable, "-m", "semcont.paper", "train", "--preset", str(preset), "--arm", "adv"]
    settings = {"cwd": paths.root(), "env": environment, "capture_output": True, "timeout": 600, "check": True}
    subprocess.run(command, **settings)
    digests = []
    for place in ("runs", "undisturbed"):
        (record,) = (stage.folder / place).glob("adv-s0-*/record.json")
        digests.append(json.loads(record.read_text())["files"]["weights.safetensors"])
        stage.say(f"{place:12} weights sha256 {digests[-1][:16]}")
    if digests[0] != digests[1]:
        raise Failed("the interrupted training has other weights than the undisturbed one")


def whole(stage: Rehearsal) -> None:
    """All of `smoke`, in which a notebook's job is killed; again, which makes only what is missing; and again."""
    stage.say("--- the whole of smoke: the job of a notebook is killed, without retries")
    started = stage.paper("smoke", "--retries", "0")
    job = stage.until("notebook 05", lambda: stage.job("notebook_05"), started, 1800)
    stage.slurm("scancel", "--signal=KILL", "--full", job)
    stage.ended(started, 1)
    reports = stage.folder / "reports" / "smoke"
    before = {path: path.stat().st_mtime_ns for path in [*reports.glob("0*.json"), *reports.glob("stamps/train/*")]}
    if reports / "05_robustness.json" in before or not before:
        raise Failed("the killed notebook left a sign of success, or nothing else did")

    stage.say("--- the same command again, with retries: only what is missing")
    said = stage.ended(stage.paper("smoke"), 0)
    if any(path.stat().st_mtime_ns != time_then for path, time_then in before.items()):
        raise Failed("something that had finished was made again")
    if not re.search(r"^smoke: ran 2 notebooks and 0 trainings", "\n".join(said), re.M):
        raise Failed("the second run should have run notebooks 05 and 09 alone")
    pages = len(list(reports.glob("0*.html")))
    stage.say(f"{pages} of 9 pages are there")
    if pages != 9:
        raise Failed("pages are missing")

    stage.say("--- and again: nothing to do")
    if not any("no notebook had to run" in line for line in stage.ended(stage.paper("smoke"), 0)):
        raise Failed("the third run should have had nothing to do")


def _provenance(cluster: onenode.Cluster) -> str:
    packages = ("snakemake", "snakemake-executor-plugin-slurm", "semcont")
    versions = [f"{name} {version(name)}" for name in packages]
    return ", ".join(
        [cluster.call("sbatch", "--version"), *versions, f"commit {store.commit()}", store.hardware("cpu")]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, help="of the node; all of the machine's by default")
    parser.add_argument("--only", choices=("interrupted", "whole"), help="one of the two parts")
    parser.add_argument("--check", action="store_true", help="only say whether Slurm's programs are there")
    options = parser.parse_args()
    parts = [part for part in (interrupted, whole) if options.only in (None, part.__name__)]
    if options.check and not onenode.missing():
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped
    try:
        with onenode.cluster(options.cores) as cluster, tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
            stage = Rehearsal(cluster, Path(folder))
            stage.say(_provenance(cluster))
            stage.slurm("sinfo", "--noheader", "--format=partition %P, %D node, %c cores, %T")
            for part in parts:
                part(stage)
            stage.slurm("squeue", "--noheader", "--states=all", "--sort=i", "--format=%.4i %.9T %.8M  %k")
    except onenode.NoSlurm as error:
        print(f"test-slurm: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"test-slurm: {error}", file=sys.stderr)
        return 1
    left = cluster.left()
    print(f"everything was as it should be; processes left running: {len(left) or 'none'}")
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main())
