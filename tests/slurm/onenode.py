"""A real Slurm of one node in a temporary folder: its own configuration, its own munge, free ports, nothing under /etc.

Debian's slurm-wlm and munge suffice, without cgroups, as root or as any user.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo", "squeue", "scancel", "which")
"""What has to be installed; `which` is called by Snakemake's executor."""

NODE = "node1"

_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])  # daemons are not in every user's PATH

CONFIGURATION = """\
ClusterName=onenode
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# cred_expire: seconds that Slurm holds back a job that it requeues, two minutes by default
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
# a node that was down stays down until it is told to resume
ReturnToService=0
# seconds: squeue remembers a finished job for so long, and there is no other memory of it
MinJobAge=900
KillWait=5
SchedulerParameters=sched_min_interval=500000
# the number of cores below may be less than the machine's
SlurmdParameters=config_overrides
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """Slurm's programs are missing, or do not start; the message is one line."""


def missing() -> list[str]:
    """The programs of `PROGRAMS` that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PLACES) is None]


@dataclass
class Cluster:
    """A running cluster. `environment` leads Slurm's commands, and Snakemake, to it."""

    folder: Path
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), _PLACES])
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints. Raises `NoSlurm` where it fails."""
        settings = {"capture_output": True, "text": True, "timeout": 60}
        done = subprocess.run(command, env={**os.environ, **self.environment}, check=False, **settings)
        if done.returncode:
            raise NoSlurm(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
        return done.stdout.strip()

    def start(self, name: str, *arguments: str) -> None:
        """Start a daemon in the foreground, as a child of ours, with what it says in a log."""
        program = shutil.which(name, path=_PLACES)
        log = (self.folder / f"{name}.out").open("w")
        environment = {**os.environ, **self.environment}
        settings = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "start_new_session": True}
        self.daemons[name] = subprocess.Popen([program, *arguments], env=environment, **settings)
        log.close()

    def alive(self) -> None:
        """Raise `NoSlurm` where a daemon of ours has ended."""
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                said = (self.folder / f"{name}.out").read_text(errors="replace").strip().splitlines()
                raise NoSlurm(f"{name} ended with {daemon.returncode}: {said[-1] if said else 'no word'}")

    def stop(self) -> None:
        """End the daemons, the last started first, then what is left of the jobs: without cgroups, Slurm loses some."""
        for daemon in reversed(self.daemons.values()):
            if daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for process in self.left():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def left(self) -> list[int]:
        """The processes of this cluster, by the configuration in their environment; none of anybody else's."""
        mark = f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile, or another user's
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found


@contextmanager
def cluster(cpus: int | None = None) -> Iterator[Cluster]:
    """A cluster of one node with `cpus` cores (None: all of the machine's), gone afterwards, whatever happens.

    Raises `NoSlurm` where programs are missing or do not start.
    """
    if lacking := missing():
        raise NoSlurm(f"{', '.join(lacking)} not found; on Debian: apt-get install slurm-wlm munge debianutils")
    folder = Path(tempfile.mkdtemp(prefix="onenode-", dir="/tmp"))  # a Unix socket's path is at most 100 bytes
    made = Cluster(folder)
    try:
        _write(folder, cpus or os.cpu_count() or 1)
        _start(made)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start(made: Cluster) -> None:
    folder = made.folder
    files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    made.start("munged", "--foreground", "--force", f"--key-file={folder / 'munge.key'}", *options)
    _wait((folder / "munge.socket").exists, 20, made, "munged's socket")
    made.start("slurmctld", "-D", "-f", str(folder / "slurm.conf"))
    made.start("slurmd", "-D", "-f", str(folder / "slurm.conf"))
    _wait(lambda: _node_state(made).startswith("idle"), 60, made, "the node to be idle")


def _node_state(made: Cluster) -> str:
    try:
        return made.call("sinfo", "--noheader", "--format=%T")
    except NoSlurm:  # the controller is not up yet
        return ""


def _write(folder: Path, cpus: int) -> None:
    folder.chmod(0o755)  # munged wants a folder that others can pass through
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().split(".")[0],
            user=_user(),
            node=NODE,
            cpus=cpus,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            controller_port=_free_port(),
            node_port=_free_port(),
        )
    )
    # Snakemake's executor drops SLURM_* before it calls srun inside a job, and SLURM_CONF with them.
    wrapper = folder / "bin" / "srun"
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=_PLACES)} "$@"\n')
    wrapper.chmod(0o755)


def _wait(met: Callable[[], bool], seconds: float, made: Cluster, what: str, fatal: bool = True) -> None:
    end = time.monotonic() + seconds
    while not met():
        made.alive()
        if time.monotonic() > end:
            if fatal:
                raise NoSlurm(f"waited {seconds:g} s for {what}; the logs are in {made.folder}")
            return
        time.sleep(0.2)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
