"""Networks beside the arms: the same lists for the notebooks and the graph, seeds of each arm, names of old runs."""

from dataclasses import asdict, replace
from typing import NamedTuple

import pytest

from semcont.paper import runs, variants
from semcont.paper.audit import grid
from semcont.paper.budgets import Features
from semcont.paper.budgets_beyond import ABLATIONS, Chosen, Controls, Frontier, Lengths, Stems, Tuning
from semcont.paper.execution import graph
from semcont.paper.presets import Preset, changed, differing, load_preset
from semcont.paper.runs import plan, split_of
from semcont.paper.strict import SettingsError

QUICK, LOCAL, SMOKE = (load_preset(name) for name in ("quick", "local", "smoke"))


def on_seeds(preset, seeds):
    """The preset with every group of further networks on so many seeds."""
    tuning = replace(preset.tuning, seeds=seeds, chosen=Chosen(c=3.0))
    groups = {
        name: replace(getattr(preset, name), seeds=seeds) for name in ("controls", "lengths", "frontier", "stems")
    }
    audit = replace(preset.robustness.audit, variant_seeds=seeds)
    return replace(preset, tuning=tuning, robustness=replace(preset.robustness, audit=audit), **groups)


OF_SEEDS = (variants.ablations, variants.lengths, variants.frontier, variants.stems, variants.candidates)
PLANNED, NONE_YET = on_seeds(LOCAL, 1), on_seeds(LOCAL, 0)


class Section(NamedTuple):
    """As much of a section as the variants of the audit ask."""

    preset: Preset
    seeds: tuple[int, ...] = (0, 1)
    device: str = "cpu"


def test_quick_trains_nothing_of_it():
    for kind in (*OF_SEEDS, variants.contexts):
        assert kind(QUICK) == [] and kind(PLANNED) != []
    assert variants.tuned(QUICK) == []


def test_what_is_planned_for_no_seed_yet_is_not_trained():
    for kind in (*OF_SEEDS, variants.tuned):
        assert kind(PLANNED) != [] and kind(NONE_YET) == []
    assert graph.spaces(PLANNED) and not graph.spaces(NONE_YET)
    assert graph.finetuned(PLANNED) and not graph.finetuned(NONE_YET)
    assert grid.otherwise_trained(Section(NONE_YET)) == {}


def test_options_that_are_off_are_not_in_a_runs_name_and_on_they_are():
    for arm in ("c", "adv+c", "aug", "trades"):
        settings = plan(SMOKE, arm, 0)
        assert not {"distance", "two_pass"} & set(settings["constraint"]) and "variant" not in settings["data"]
    for changes in ({"distance": "cosine"}, {"two_pass": True}, {"variant": "background"}):
        assert plan(changed(SMOKE, changes), "c", 0) != plan(SMOKE, "c", 0)
    other = changed(SMOKE, {"distance": "kl", "two_pass": True})
    assert plan(other, "base", 0) == plan(SMOKE, "base", 0) and plan(other, "squeeze", 0) == plan(SMOKE, "squeeze", 0)
    assert "distance" not in plan(other, "trades", 0)["constraint"]


def test_a_variant_of_the_data_is_what_the_run_sees():
    background = changed(SMOKE, {"variant": "background"})
    assert split_of(background, "train").fingerprint != split_of(SMOKE, "train").fingerprint
    assert split_of(SMOKE, "test", variant="background").fingerprint == split_of(background, "test").fingerprint
    with pytest.raises(SettingsError, match="background"):
        changed(SMOKE, {"variant": "backgrounds"})


def test_few_arms_get_few_seeds_and_the_graph_trains_these():
    preset = replace(LOCAL, seeds=10, few_seeds=3)
    assert preset.seeds_of("adv+c") == 10 and preset.seeds_of("madry") == 3
    jobs = graph.arms(preset)
    assert len([job for job in jobs if job.arm == "base"]) == 10 and len(jobs) == 6 * 10 + 5 * 3
    assert QUICK.seeds_of("base") == QUICK.seeds == 1
    for wrong in ({"few_arms": ("madry",), "few_seeds": 1}, {"few_arms": ("c",)}, {"few_seeds": 1}):
        with pytest.raises(ValueError, match="few_arms"):
            replace(QUICK, **wrong)
    with pytest.raises(ValueError, match="few_seeds"):
        replace(QUICK, few_arms=("c",), few_seeds=2)


def test_what_would_be_the_plain_arm_is_not_trained_again():
    preset = replace(SMOKE, controls=Controls(ablations=tuple(ABLATIONS), ablated=("c", "adv+c"), seeds=2))
    names = [v.name for v in variants.ablations(preset)]
    assert "c, no-hue" in names and "adv+c, no-hue" not in names  # an attack has no hue
    assert "c, term zero" in names and "adv+c, term zero" not in names  # adv forwards both anyway
    preset = replace(SMOKE, lengths=Lengths(epochs=(SMOKE.training.epochs, 4), arms=("base",), seeds=2))
    jobs = graph.training_lengths(preset)
    assert [job.change for job in jobs] == ["plain", "plain", "epochs=4", "epochs=4"]
    preset = replace(SMOKE, lengths=Lengths(epochs=(4, 8), arms=("base",), doubled=("aug",), seeds=1))
    twice = 2 * SMOKE.training.epochs
    jobs = [(job.arm, job.change) for job in graph.training_lengths(preset)]
    assert jobs == [("base", "epochs=4"), ("base", "epochs=8"), ("aug", "plain"), ("aug", f"epochs={twice}")]
    with pytest.raises(ValueError, match="doubled names base"):
        replace(SMOKE, lengths=Lengths(arms=("base",), doubled=("base", "aug")))
    with pytest.raises(ValueError, match="halved names base"):
        replace(SMOKE, lengths=Lengths(arms=("base",), halved=("base", "aug")))
    with pytest.raises(ValueError, match=r"lengths.doubled: unknown arm 'augc'"):
        replace(SMOKE, lengths=Lengths(doubled=("augc",)))
    assert differing(preset, "c", {"epochs": SMOKE.training.epochs, "alpha": 2.0}) == {"alpha": 2.0}


def test_an_arm_that_trains_for_longer_is_itself_at_that_length_and_another_network_at_the_others():
    usual = SMOKE.training.epochs
    preset = replace(SMOKE, long_arms=("adv",), long_epochs=2 * usual)
    assert preset.epochs_of("adv") == 2 * usual and preset.epochs_of("c") == usual
    assert {changed(preset, {"epochs": 4 * usual}).epochs_of(arm) for arm in ("adv", "c")} == {4 * usual}
    preset = replace(
        preset, lengths=Lengths(epochs=(usual, 2 * usual), arms=("base", "adv"), doubled=("adv",), seeds=1)
    )
    jobs = [(job.arm, job.change) for job in graph.training_lengths(preset)]
    short, long = f"epochs={usual}", f"epochs={4 * usual}"
    assert jobs == [("base", "plain"), ("base", f"epochs={2 * usual}"), ("adv", short), ("adv", "plain"), ("adv", long)]
    assert runs.folder_of(preset, "adv", 0) == runs.folder_of(SMOKE, "adv", 0, epochs=2 * usual)
    assert runs.folder_of(preset, "c", 0) == runs.folder_of(SMOKE, "c", 0)
    plain, short = graph.Job("adv", 0), graph.Job("adv", 0, (("epochs", usual),))
    assert graph.passes(preset, plain) == 2 * graph.passes(preset, short)
    for wrong in ({"long_epochs": -1}, {"long_epochs": None}, {"long_arms": ("trades",)}):
        with pytest.raises(ValueError, match="long_"):
            replace(preset, **wrong)


def test_an_arm_may_be_asked_at_half_its_length_instead_of_twice():
    usual = SMOKE.training.epochs
    preset = replace(SMOKE, arms=("base", "madry"), long_arms=("madry",), long_epochs=2 * usual)
    preset = replace(preset, lengths=Lengths(arms=("base",), halved=("madry",), seeds=1))
    jobs = [(job.arm, job.change) for job in graph.training_lengths(preset)]
    assert jobs == [("madry", f"epochs={usual}"), ("madry", "plain")]
    few = replace(preset, seeds=3, few_arms=("madry",), few_seeds=1, lengths=replace(preset.lengths, seeds=2))
    assert [v.seeds for v in variants.lengths(few)] == [1, 1]  # not more than the arm has
    with pytest.raises(ValueError, match="halved names madry, whose 3 epochs are odd"):
        replace(preset, long_epochs=3)


def test_the_frontiers_attack_reaches_as_far_as_its_radius():
    preset = replace(QUICK, frontier=Frontier(alphas=(0.1,), betas=(3.0,), eps=(16.0,), arms=("madry",), seeds=3))
    found = {v.name: v for v in variants.frontier(preset)}
    assert list(found) == ["adv+c, alpha 0.1", "trades, beta 3", "adv, eps 16", "madry"]
    attack = changed(preset, found["adv, eps 16"].changes).attack
    assert (attack.eps, attack.step_size, attack.steps) == (16, 10, QUICK.attack.steps)
    assert changed(preset, found["trades, beta 3"].changes).constraint.beta == 3


def test_backgrounds_are_photodigits_alone():
    preset = replace(SMOKE, features=Features(context_seeds=2))
    assert variants.contexts(preset)[0].seeds == 2
    other = replace(preset, data=replace(preset.data, name="color_digits", rho=None))
    assert variants.contexts(other) == []


# --- weights that are tuned -------------------------------------------------------------------------------------------

TUNING = Tuning(alphas=(1.0, 3.0), lambdas=(0.1,), data_seed=5, seed=50, epochs=7, seeds=2, chosen=Chosen(c=3.0))


def test_candidates_share_data_seed_and_length_and_differ_by_their_weight():
    preset = replace(QUICK, tuning=TUNING)
    found = {v.name: v for v in variants.candidates(preset)}
    assert list(found) == [
        "base",
        "c, alpha 1",
        "c, alpha 3",
        "adv+c, alpha 1",
        "adv+c, alpha 3",
        "squeeze, squeeze 0.1",
    ]
    assert [v.weight for v in found.values()] == [0, 1, 3, 1, 3, 0.1]
    for v in found.values():
        settings = changed(preset, v.changes)
        assert (settings.data.seed, settings.training.epochs, v.seeds, v.first) == (5, 7, 1, 50)
    jobs = graph.candidates(preset)
    assert {job.seed for job in jobs} == {50} and len(jobs) == 6
    assert split_of(changed(preset, found["base"].changes), "val").fingerprint != split_of(preset, "val").fingerprint
    without = replace(preset, tuning=replace(TUNING, epochs=None))
    assert graph.candidates(without)[0].words == ["data_seed=5"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data_seed": QUICK.data.seed}, "none that the study reports"),
        ({"seed": 0}, "none that the study reports"),
        ({"alphas": (3.0, 10.0)}, "must hold constraint.alpha, 1, for squeeze"),
    ],
)
def test_what_is_tuned_on_is_never_reported_and_squeeze_has_its_match(values, words):
    with pytest.raises(SettingsError, match=words):
        variants.candidates(replace(QUICK, tuning=replace(TUNING, **values)))


def test_only_a_choice_other_than_the_presets_own_is_trained():
    preset = replace(QUICK, tuning=TUNING)
    assert [(job.arm, job.seed, job.change) for job in graph.tuned(preset)] == [("c", k, "alpha=3.0") for k in (0, 1)]
    both = replace(TUNING, chosen=Chosen(c=1.0, adv_c=3.0))
    assert [v.name for v in variants.tuned(replace(preset, tuning=both))] == ["adv+c, alpha 3"]
    assert variants.tuned(replace(preset, tuning=replace(TUNING, chosen=Chosen()))) == []


@pytest.mark.parametrize("preset", [SMOKE, LOCAL], ids=lambda preset: preset.name)
def test_the_graph_trains_what_the_notebooks_ask_for(preset):
    kinds = {
        "02_training": (variants.lengths, variants.tuned),
        "03_continuity": (variants.ablations, variants.candidates, variants.tuned),
        "04_semantic_features": (variants.contexts, variants.tuned),
        "05_robustness": (
            *(variants.lengths, variants.frontier, variants.stems, variants.tuned),
            *(variants.spaces, variants.finetuned),
        ),
        "07_transfer": (variants.tuned,),
    }
    for notebook, wanted in kinds.items():
        planned = {
            _settings(preset, job.arm, job.seed, dict(job.changes)) for job in graph.training_jobs(preset, notebook)
        }
        for v in [v for kind in wanted for v in kind(preset)]:
            seeds = [(v.first or 0) + k for k in range(v.seeds)]
            assert {_settings(preset, v.arm, seed, v.changes) for seed in seeds} <= planned, v.name


def _settings(preset, arm, seed, changes) -> str:
    start = changes.get("start")
    changes = {name: value for name, value in changes.items() if name != "start"}
    return f"{plan(changed(preset, changes), arm, seed)} from {start}"


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        (Controls, {"ablations": ("hue",)}, "no 'hue'"),
        (Lengths, {"epochs": (4, 4)}, "distinct"),
        (Lengths, {"tolerance": 0.0}, "tolerance"),
        (Frontier, {"betas": (0.0,)}, "betas"),
        (Stems, {"names": ("cifar-blurred",)}, "names: there is no 'cifar-blurred', only cifar, "),
        (Tuning, {"alphas": (1.0, 1.0)}, "alphas must be distinct"),
        (Tuning, {"lambdas": (0.0,)}, "lambdas must be distinct and above 0"),
        (Tuning, {"alphas": (1.0, 3.0), "chosen": Chosen(adv_c=2.0)}, "2 is none of the candidates"),
        (Tuning, {"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(group, values, words):
    with pytest.raises(ValueError, match=words):
        group(**values)
    assert asdict(group())["seeds"] >= 1


def test_an_arm_that_does_not_exist_is_named_with_its_key():
    with pytest.raises(ValueError, match="frontier.arms: unknown arm 'mardy'; did you mean 'madry'"):
        replace(QUICK, frontier=Frontier(arms=("mardy",)))
