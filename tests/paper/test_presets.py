"""Presets: strict reading, and what a run's key depends on."""

from dataclasses import replace
from pathlib import Path

import pytest

from semcont.paper import paths
from semcont.paper.presets import changeable, changed, load_preset
from semcont.paper.runs import plan
from semcont.paper.strict import SettingsError

QUICK = paths.resource("presets/quick.yaml").read_text(encoding="utf-8")


def _load(tmp_path: Path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_preset(path)


@pytest.mark.parametrize(
    "path", sorted(paths.resource("presets/quick.yaml").parent.glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_preset_loads_and_comments_every_key(path):
    preset = load_preset(path.stem)
    assert preset.name == path.stem
    if path.stem == "smoke":
        return  # claims nothing, so it explains only what is not obvious
    group = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")) and line.rstrip().endswith(":"):
            group = line
        bare = line.strip()
        if (
            bare
            and not bare.startswith("#")
            and not bare.endswith(":")
            and bare.split(":")[0] not in ("name", "description")
        ):
            assert "#" in bare, f"{path.name}, {group}: {bare!r} has no comment with its unit and the paper's value"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("alpha: 1.0", "alhpa: 1.0", ("mine.yaml", "constraint.alhpa", "'alpha'")),
        ("seeds: 1 ", "seeds: one ", ("seeds", "integer", "'one'")),
        ("lr: 0.1 ", "lr: fast ", ("training.lr", "number", "'fast'")),
        ("lr: 0.1 ", "lr: -1 ", ("training", "lr", "-1")),
        ("arms: [base, c, adv, adv+c]", "arms: [base, advc]", ("arms", "'advc'", "'adv+c'")),
        ("optimizer: sgd", "optimizer: adamax", ("optimizer", "'adamax'", "'adam'")),
        ("stem: cifar-stride2", "stem: cifar-stride3", ("model.stem", "cifar-stride2")),
        ("\n  epochs: ", "\n  epochs: 1.5  # not ", ("training.epochs", "integer", "1.5")),
        ("rho: 0.5", "rho: 1.5", ("data", "rho", "1.5")),
        ("seeds: 1 ", "seeds: true ", ("seeds", "integer", "True")),
        ("name: quick", "", ("name", "missing")),
        ("name: quick", "name: quick\ntuning: {chosen: {adv+c: 1}}", ("tuning.chosen.adv+c", "'adv_c'")),
        ("name: quick", "name: quick\ntuning: {alphas: [1], chosen: {c: 3}}", ("tuning", "chosen", "[1.0]")),
        ("seeds: 1 ", "seeds: 1\nseeds: 2 ", ("mine.yaml", "seeds")),
    ],
)
def test_a_bad_key_is_named_with_the_nearest_valid_one(tmp_path, old, new, names):
    assert old in QUICK
    with pytest.raises(SettingsError) as raised:
        _load(tmp_path, QUICK.replace(old, new, 1))
    assert all(name in str(raised.value) for name in names), raised.value
    assert "\n" not in str(raised.value)


def test_weights_are_tuned_by_local_and_in_the_tests_alone():
    presets = [load_preset(path.stem) for path in paths.resource("presets/quick.yaml").parent.glob("*.yaml")]
    tuned = {preset.name: preset.tuning for preset in presets if preset.tuning.alphas or preset.tuning.lambdas}
    assert set(tuned) == {"local", "smoke"}
    local = load_preset("local")
    assert local.constraint.squeeze in tuned["local"].lambdas and local.constraint.alpha in tuned["local"].alphas
    assert tuned["local"].epochs < local.training.epochs and tuned["local"].seed >= local.seeds


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(SettingsError, match="'quick'"):
        load_preset("quik")


def test_yaml_is_read_as_version_1_2(tmp_path):
    preset = _load(tmp_path, QUICK.replace("weight_decay: 5.0e-4", "weight_decay: 5e-4"))
    assert preset.training.weight_decay == 5e-4  # YAML 1.1 would read a string


def test_changes_are_checked_and_reach_their_group():
    preset = load_preset("smoke")
    assert changed(preset, {"alpha": 2}).constraint.alpha == 2.0
    assert changed(preset, {"data": "color_digits", "rho": None}).data.name == "color_digits"
    with pytest.raises(SettingsError, match="'alpha'"):
        changed(preset, {"alhpa": 1})
    with pytest.raises(SettingsError, match="epochs"):
        changed(preset, {"epochs": "many"})
    with pytest.raises(SettingsError, match="alpha"):
        changed(preset, {"alpha": -1})
    assert len(changeable()) == len(set(changeable()))


def test_the_plan_of_a_run_holds_only_what_its_arm_uses():
    preset = load_preset("smoke")
    other_attack = replace(preset, attack=replace(preset.attack, steps=7))
    other_alpha = changed(preset, {"alpha": 0.5})
    assert plan(preset, "base", 0) == plan(other_attack, "base", 0) == plan(other_alpha, "base", 0)
    assert plan(preset, "adv", 0) != plan(other_attack, "adv", 0)
    assert plan(preset, "c", 0) != plan(other_alpha, "c", 0)
    assert plan(preset, "c", 0) != plan(preset, "c", 1)
    assert plan(changed(preset, {"monitor": 5}), "c", 0) == plan(preset, "c", 0)
