"""What a preset's paper needs, as plain data: which networks to train, which notebook reads which, from which files.

The Snakefile draws its rules from the plan made here.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ... import datasets
from .. import bias, colour_length, fairness, paths, runs, variants
from ..presets import Preset, changed, differing, load_preset
from ..publishing import sidebyside
from ..strict import SettingsError, nearest
from . import dependencies

CLAIMS = "09_claims"  # reads the other notebooks' records

LONGEST = ("06_interpretability", "07_transfer", "03_continuity", "05_robustness")
"""The notebooks that measure longest, by figures/<preset>/provenance.json. Not read from there: the plan of a preset
would change with its own results."""


class Job(NamedTuple):
    """One network to train: an arm, a seed, and named changes to the preset's training."""

    arm: str
    seed: int
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def change(self) -> str:
        """The changes in file names: `alpha=0.1+epochs=5`, or `plain`."""
        return "+".join(self.words) or "plain"  # at commas Snakemake splits the names that it sends to a cluster

    def preset(self, preset: Preset) -> Preset:
        """The preset with the changes applied; what the network starts from is none of its settings."""
        return changed(preset, {name: value for name, value in self.changes if name != "start"})

    @property
    def words(self) -> list[str]:
        """The changes as `semcont train` takes them."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.changes}
        return [f"{name}={text}" for name, text in texts.items()]

    @property
    def name(self) -> str:
        """`adv+c-s0-plain`, `c-s0-alpha=0.1`."""
        return f"{self.arm}-s{self.seed}-{self.change}"


# --- which networks a notebook reads ----------------------------------------------------------------------------------


def arms(preset: Preset) -> list[Job]:
    """Every arm on the seeds that the preset gives it."""
    return [Job(arm, seed) for arm in preset.arms for seed in range(preset.seeds_of(arm))]


def alphas(preset: Preset) -> list[Job]:
    """Fig. 4's sweep of `c`; 0 is `base`, the preset's own alpha the plain `c`."""
    jobs = []
    for changes in preset.continuity.sweep():
        alpha, others = changes["alpha"], {name: value for name, value in changes.items() if name != "alpha"}
        known = {0: ("base", others), preset.constraint.alpha: ("c", others)}
        arm, changes = known.get(alpha, ("c", changes))
        seeds = preset.continuity.alpha_seeds or preset.seeds_of("c")
        jobs += [Job(arm, seed, tuple(changes.items())) for seed in range(seeds)]
    return jobs


def lengths(preset: Preset) -> list[Job]:
    """The adversarial arms at further training lengths (notebook 05)."""
    trained_so = [(arm, n) for arm in ("adv", "adv+c") if arm in preset.arms for n in preset.robustness.lengths]
    return [Job(arm, seed, (("epochs", n),)) for arm, n in trained_so for seed in range(preset.seeds_of(arm))]


def ablations(preset: Preset) -> list[Job]:
    """The constraint in other forms (notebook 03)."""
    return _jobs(preset, variants.ablations(preset))


def training_lengths(preset: Preset) -> list[Job]:
    """The arms at each training length (notebook 02)."""
    return _jobs(preset, variants.lengths(preset))


def contexts(preset: Preset) -> list[Job]:
    """Networks that see the background alone (notebook 04)."""
    return _jobs(preset, variants.contexts(preset))


def frontier(preset: Preset) -> list[Job]:
    """What else buys robustness with clean accuracy (notebook 05)."""
    return _jobs(preset, variants.frontier(preset))


def stems(preset: Preset) -> list[Job]:
    """The adversarial arms behind a stem that cannot pass over pixels (notebook 05)."""
    return _jobs(preset, variants.stems(preset))


def candidates(preset: Preset) -> list[Job]:
    """The weights among which one is chosen on validation images (notebook 03)."""
    return _jobs(preset, variants.candidates(preset))


def tuned(preset: Preset) -> list[Job]:
    """The arms at the chosen weights (notebooks 02, 03 and 05)."""
    return _jobs(preset, variants.tuned(preset))


def _jobs(preset: Preset, wanted: list[variants.Variant]) -> list[Job]:
    """Each variant on each of its seeds, named by what differs from the preset alone."""
    named = [(v, tuple(differing(preset, v.arm, v.changes).items())) for v in wanted]
    return [Job(v.arm, (v.first or 0) + k, changes) for v, changes in named for k in range(v.seeds)]


def spaces(preset: Preset) -> list[Job]:
    """The adversarial arms with their radius meant on normalised images (notebook 05)."""
    return _jobs(preset, variants.spaces(preset))


def finetuned(preset: Preset) -> list[Job]:
    """The constrained and the adversarial arm, fine-tuned from `base` (notebook 05)."""
    return _jobs(preset, variants.finetuned(preset))


def beside(preset: Preset) -> dict[str, list[Job]]:
    """The networks beside the arms, by group; each in the first group that needs it."""
    groups = {
        "lengths": (training_lengths, lengths),
        "alphas": (alphas,),
        "contexts": (contexts,),
        "ablations": (ablations,),
        "tuning": (candidates, tuned),
        "frontier": (frontier,),
        "spaces": (spaces, finetuned),
        "stems": (stems,),
        "colours": (colours,),
    }
    known, found = set(arms(preset)), {}
    for name, needs in groups.items():
        found[name] = list(dict.fromkeys(job for need in needs for job in need(preset) if job not in known))
        known |= set(found[name])
    return {name: jobs for name, jobs in found.items() if jobs}


def pretrained(preset: Preset) -> list[Job]:
    """Section 2's network where it is not the arm `base` (notebook 01)."""
    changes = preset.discontinuity.changes()
    return [Job("base", seed, tuple(changes.items())) for seed in range(preset.seeds_of("base"))]


def colours(preset: Preset) -> list[Job]:
    """Section 4.7's networks on coloured digits, on those whose colour predicts the label, and for twice as long."""
    jobs = [*fairness.training_jobs(preset), *bias.training_jobs(preset), *colour_length.training_jobs(preset)]
    return [Job(arm, seed, tuple(changes.items())) for arm, seed, changes in jobs]


NEEDS = {
    "01_discontinuity": (arms, pretrained),
    "02_training": (arms, training_lengths, tuned),
    "03_continuity": (arms, alphas, ablations, candidates, tuned),
    "04_semantic_features": (arms, contexts, tuned),
    "05_robustness": (arms, lengths, training_lengths, spaces, finetuned, stems, frontier, tuned),
    "07_transfer": (arms, tuned),
    "08_fairness": (colours,),
    CLAIMS: (),
}


def training_jobs(preset: Preset, notebook: str | None = None) -> list[Job]:
    """The networks that a notebook reads, each once (None: all of them); the preset's arms where `NEEDS` is silent."""
    every = preset.notebooks or (*NEEDS, "any other")
    needs = {need for name in (every if notebook is None else [notebook]) for need in NEEDS.get(name, (arms,))}
    jobs = {job for need in needs for job in need(preset)}
    return sorted(jobs, key=lambda job: (-passes(preset, job), job.name))


def passes(preset: Preset, job: Job) -> int:
    """Forward passes of the training: its length beside the others', so that the longest start first."""
    own = job.preset(preset)
    return images(own) * own.epochs_of(job.arm) * sum(copies_and_steps(own, job.arm))


def images(preset: Preset) -> int:
    """How many images an epoch has: the preset's number, or as many as the set's split usually holds."""
    split = "full" if preset.training.refit else "train"
    return preset.data.train or datasets.sizes()[preset.data.name][split]


def copies_and_steps(preset: Preset, arm: str) -> tuple[int, int]:
    """For one image: how many copies an update forwards together (x, x'), and how many attack steps make x'."""
    objective = runs.objective_of(replace(preset, attack=replace(preset.attack, space="pixels")), arm)
    copies = objective.needs_prime + (objective.needs_clean or not objective.needs_prime)
    attacked = objective.needs_prime and objective.arm.perturbation == "pgd"
    return copies, preset.attack.steps if attacked else 0


# --- the plan ---------------------------------------------------------------------------------------------------------


def make_plan(name: str) -> dict[str, Any]:
    """The whole graph of a preset, a name or a YAML file; paths are relative to the checkout where they lie in it."""
    preset = load_preset(name)
    is_file = name.endswith((".yaml", ".yml"))
    settings = Path(name).resolve() if is_file else paths.resource(f"presets/{name}.yaml")
    notebooks = _notebooks(preset)
    jobs = {job.name: job for notebook in notebooks for job in training_jobs(preset, notebook.stem)}
    train = {name: _train(preset, job) for name, job in jobs.items()}
    first = 1 + max((job["priority"] for job in train.values()), default=0)  # a notebook before any further training
    return {
        "preset": preset.name,
        "argument": str(settings) if is_file else name,
        "reports": _relative(paths.reports(preset.name))[0],
        "threads": preset.threads,
        "train": train,
        "report_inputs": _relative(*_report_files()),
        "train_inputs": _relative(settings, *dependencies.closure(dependencies.PACKAGE / "paper" / "runs.py")),
        "notebooks": {
            notebook.stem: _notebook(preset, notebook, settings) | {"priority": first + _early(notebook.stem)}
            for notebook in notebooks
        },
    }


def _early(notebook: str) -> int:
    """How far a notebook comes before others that are ready, too."""
    return len(LONGEST) - LONGEST.index(notebook) if notebook in LONGEST else 0


def _notebooks(preset: Preset) -> list[Path]:
    """The notebooks that the preset names, in order. Raises `UserError` for one that is not there."""
    found = sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise paths.NoCheckout(f"there are no notebooks in {paths.notebooks()}")
    known = [path.stem for path in found]
    for name in preset.notebooks:
        if name not in known:
            raise SettingsError(f"preset {preset.name}: notebooks: there is no {name!r}{nearest(name, known)}")
    return [path for path in found if preset.reads(path.stem)]


def _train(preset: Preset, job: Job) -> dict[str, Any]:
    return {"arm": job.arm, "seed": job.seed, "changes": job.words, "priority": passes(preset, job)}


def _notebook(preset: Preset, notebook: Path, settings: Path) -> dict[str, Any]:
    is_claims = notebook.stem == CLAIMS
    ledger = sorted(paths.resource("paper/claims.yaml").parent.glob("*.yaml")) if is_claims else []
    ledger += sidebyside.sources(preset.name) if is_claims else []
    return {
        "path": _relative(notebook)[0],
        "inputs": _relative(notebook, settings, *dependencies.of_notebook(notebook), *ledger),
        "train": [job.name for job in training_jobs(preset, notebook.stem)],
        "records": is_claims,
    }


def _report_files() -> list[Path]:
    study = dependencies.PACKAGE / "paper"
    return [study / "report.py", *sorted(path for path in (study / "templates").rglob("*") if path.is_file())]


def _relative(*files: Path) -> list[str]:
    root = paths.root()
    return [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in files]
