"""Networks beside the arms: the same lists for the notebooks and the graph, seeds of each arm, names of old runs."""

from dataclasses import asdict, replace

import pytest

from semcont.paper import graph, variants
from semcont.paper.budgets import ABLATIONS, Controls, Features, Frontier, Lengths
from semcont.paper.presets import changed, differing, load_preset
from semcont.paper.runs import plan, split_of
from semcont.paper.strict import SettingsError

QUICK, LOCAL, SMOKE = (load_preset(name) for name in ("quick", "local", "smoke"))


def test_quick_trains_nothing_of_it():
    for kind in (variants.ablations, variants.lengths, variants.contexts, variants.frontier):
        assert kind(QUICK) == [] and kind(LOCAL) != []


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
    assert LOCAL.seeds_of("adv+c") == 10 and LOCAL.seeds_of("madry") == 3
    jobs = graph.arms(LOCAL)
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
    assert differing(preset, {"epochs": SMOKE.training.epochs, "alpha": 2.0}) == {"alpha": 2.0}


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


@pytest.mark.parametrize("preset", [SMOKE, LOCAL], ids=lambda preset: preset.name)
def test_the_graph_trains_what_the_notebooks_ask_for(preset):
    kinds = {
        "02_training": variants.lengths,
        "03_continuity": variants.ablations,
        "04_semantic_features": variants.contexts,
        "05_robustness": variants.frontier,
    }
    for notebook, kind in kinds.items():
        planned = {
            _settings(preset, job.arm, job.seed, dict(job.changes)) for job in graph.training_jobs(preset, notebook)
        }
        for v in kind(preset):
            assert {_settings(preset, v.arm, seed, v.changes) for seed in range(v.seeds)} <= planned, v.name


def _settings(preset, arm, seed, changes) -> str:
    return str(plan(changed(preset, changes), arm, seed))


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        (Controls, {"ablations": ("hue",)}, "no 'hue'"),
        (Lengths, {"epochs": (4, 4)}, "distinct"),
        (Lengths, {"tolerance": 0.0}, "tolerance"),
        (Frontier, {"betas": (0.0,)}, "betas"),
    ],
)
def test_impossible_settings_are_refused(group, values, words):
    with pytest.raises(ValueError, match=words):
        group(**values)
    assert asdict(group())["seeds"] >= 1


def test_an_arm_that_does_not_exist_is_named_with_its_key():
    with pytest.raises(ValueError, match="frontier.arms: unknown arm 'mardy'; did you mean 'madry'"):
        replace(QUICK, frontier=Frontier(arms=("mardy",)))
