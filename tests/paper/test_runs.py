"""The run store: keys, resuming after a kill, damaged files, cached measurements."""

import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, replace

import pandas as pd
import pytest
import torch

from semcont.paper import paths, runs, store
from semcont.paper.measurements import measurement
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained
from semcont.paper.strict import SettingsError
from semcont.training import option

SMOKE = load_preset("smoke")


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def _weights(run) -> dict[str, torch.Tensor]:
    return run.model("cpu").state_dict()


def _same(a, b) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_finished_run_is_loaded_and_not_trained_again(empty_store, monkeypatch):
    first = trained(SMOKE, "base", 0)
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    again = trained(SMOKE, "base", 0)
    assert again.key == first.key and _same(_weights(first), _weights(again))
    assert first.record["settings"]["arm"] == "base" and first.record["files"].keys() == again.record["files"].keys()


def test_alpha_zero_is_the_plain_arm_and_shares_its_run(empty_store):
    assert trained(SMOKE, "c", 0, alpha=0.0).key == trained(SMOKE, "base", 0).key
    assert trained(SMOKE, "adv+c", 0, alpha=0.0).key == trained(SMOKE, "adv", 0).key
    control = trained(SMOKE, "c", 0, alpha=0.0, forward_both=True)
    assert control.key != trained(SMOKE, "base", 0).key
    assert not _same(_weights(control), _weights(trained(SMOKE, "base", 0)))  # x' moved BatchNorm's statistics


def test_an_arm_that_trains_for_longer_does_so_and_leaves_the_others_alone(empty_store):
    usual = SMOKE.training.epochs
    longer = replace(SMOKE, long_arms=("c",), long_epochs=2 * usual)
    run = trained(longer, "c", 0)
    assert len(run.history) == 2 * usual and run.folder == runs.folder_of(SMOKE, "c", 0, epochs=2 * usual)
    assert runs.folder_of(run.preset, "base", 0) == runs.folder_of(SMOKE, "base", 0)  # as another arm's target


def test_seed_change_data_and_recipe_are_in_the_key(empty_store, monkeypatch):
    keys = {
        trained(SMOKE, "base", 0).key,
        trained(SMOKE, "base", 1).key,
        trained(SMOKE, "base", 0, lr=0.01).key,
        trained(SMOKE, "base", 0, data_seed=5).key,
        trained(SMOKE, "base", 0, start=trained(SMOKE, "base", 1)).key,
    }
    monkeypatch.setattr(runs.training, "RECIPE", runs.training.RECIPE + 1)
    keys.add(trained(SMOKE, "base", 0).key)
    assert len(keys) == 6


def test_a_start_may_be_named_by_its_arm_and_is_found_without_training(empty_store):
    changes = {"start": "base", "epochs": 1}
    folder = runs.folder_of(SMOKE, "c", 1, **changes)
    assert runs.finished(SMOKE, "c", 1, **changes) is None and not empty_store.exists()
    run = trained(SMOKE, "c", 1, **changes)
    assert run.folder == folder == trained(SMOKE, "c", 1, start=trained(SMOKE, "base", 1), epochs=1).folder
    assert run.changes == {"epochs": 1} and runs.finished(SMOKE, "c", 1, **changes).key == run.key
    assert len(runs.finished(SMOKE, "base", 1).history) == SMOKE.training.epochs  # the start as it is, not as changed


def test_an_option_that_is_off_leaves_the_names_of_older_runs_alone(monkeypatch):
    @dataclass(frozen=True)
    class Longer(type(SMOKE.training)):
        newer: str = option("none")

    def planned(**settings):
        newer = Longer(**asdict(SMOKE.training), **settings)
        return runs.plan(replace(SMOKE, training=newer), "base", 0)

    assert planned() == runs.plan(SMOKE, "base", 0)
    assert planned(newer="some")["training"]["newer"] == "some"


def test_bad_names_are_refused_before_anything_is_written(empty_store):
    for arguments, changes, named in [
        (("advv", 0), {}, "'adv'"),
        (("base", -1), {}, "seed"),
        (("base", 0), {"alhpa": 1.0}, "'alpha'"),
        (("base", 0), {"start": "bas"}, "start must be a run or an arm, not 'bas'; did you mean 'base'"),
        (("base", 0), {"start": 3}, "start"),
        (("base", 0), {"start": "c", "alhpa": 1.0}, "'alpha'"),
    ]:
        with pytest.raises(SettingsError, match=named):
            trained(SMOKE, *arguments, **changes)
    assert not empty_store.exists()


KILLED = """
import os, signal
from semcont.paper import run_files, runs
from semcont.paper.presets import load_preset
save = run_files.save_checkpoint
def once(folder, state):
    save(folder, state)
    if state["epoch"] == {epoch}:
        os.kill(os.getpid(), signal.SIGKILL)
run_files.save_checkpoint = once
runs.trained(load_preset("smoke"), "{arm}", 3, epochs=3)
"""


@pytest.mark.parametrize(("arm", "epoch"), [("base", 1), ("adv+c", 2)])
def test_killed_and_started_again_ends_with_the_same_weights(empty_store, monkeypatch, arm, epoch):
    code = KILLED.format(arm=arm, epoch=epoch)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (folder,) = [f for f in empty_store.iterdir() if f.name.startswith(arm)]
    assert (folder / "checkpoint.json").is_file() and not (folder / "record.json").exists()
    resumed = trained(SMOKE, arm, 3, epochs=3)
    assert not list(folder.glob("checkpoint*"))
    monkeypatch.setenv("SEMCONT_RUNS", str(empty_store.with_name("uninterrupted")))
    whole = trained(SMOKE, arm, 3, epochs=3)
    assert whole.folder != resumed.folder and _same(_weights(whole), _weights(resumed))
    columns = [c for c in whole.history if c != "seconds"]
    pd.testing.assert_frame_equal(whole.history[columns], resumed.history[columns])


def _damage(folder, name: str, how: str):
    path = folder / name
    if how == "truncate":
        path.write_bytes(path.read_bytes()[:-9])
    elif how == "alter":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    elif how == "remove":
        path.unlink()
    elif how == "add":
        path.write_text("not ours", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("weights.safetensors", "truncate"),
        ("weights.safetensors", "alter"),
        ("weights.safetensors", "remove"),
        ("history.csv", "alter"),
        ("settings.json", "truncate"),
        ("record.json", "truncate"),
        ("notes.txt", "add"),
    ],
)
def test_a_damaged_or_foreign_file_is_named_with_the_remedy(empty_store, name, how):
    run = trained(SMOKE, "base", 0)
    _damage(run.folder, name, how)
    with pytest.raises(store.BrokenStore) as raised:
        trained(SMOKE, "base", 0)
    assert name in str(raised.value) and "delete the folder" in str(raised.value)


def test_leftover_part_files_do_no_harm(empty_store):
    run = trained(SMOKE, "base", 0)
    _damage(run.folder, "weights.safetensors.123.part", "add")
    assert trained(SMOKE, "base", 0).key == run.key


def test_a_damaged_checkpoint_is_an_error_not_a_fresh_start(empty_store):
    subprocess.run([sys.executable, "-c", KILLED.format(arm="base", epoch=1)], capture_output=True, timeout=120)
    (folder,) = [f for f in empty_store.iterdir() if f.name.startswith("base")]
    (checkpoint,) = folder.glob("checkpoint-*.pt")
    _damage(folder, checkpoint.name, "truncate")
    with pytest.raises(store.BrokenStore, match=checkpoint.name):
        trained(SMOKE, "base", 3, epochs=3)


def test_another_runs_record_in_the_folder_is_refused(empty_store):
    one, two = trained(SMOKE, "base", 0), trained(SMOKE, "base", 1)
    shutil.rmtree(one.folder)
    shutil.copytree(two.folder, one.folder)
    with pytest.raises(store.BrokenStore, match="another run"):
        trained(SMOKE, "base", 0)


def test_two_processes_that_want_the_same_run_train_it_once(empty_store):
    code = "from semcont.paper.runs import trained; from semcont.paper.presets import load_preset; "
    code += "print(trained(load_preset('smoke'), 'adv', 0).folder)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    answers = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    finished = sum("100%" in error or "1/1" in error for _, error in answers)
    assert finished == 1, "the second process should have waited and loaded"


def test_an_unwritable_store_is_an_os_error_not_a_wrong_result(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(OSError):
        trained(SMOKE, "base", 0)


# --- measurements -----------------------------------------------------------------------------------------------------

calls: list[int] = []


@measurement(version=1)
def counted(run, *, factor: float = 1.0) -> pd.DataFrame:
    """Counts how often it is really called."""
    calls.append(run.seed)
    return pd.DataFrame({"value": [factor * run.seed]})


def test_a_measurement_is_made_once_per_setting_and_version(empty_store):
    run = trained(SMOKE, "base", 2)
    calls.clear()
    first, again = measured(run, counted), measured(run, counted, factor=1.0)  # the default and its value are one key
    assert calls == [2] and first.equals(again)
    assert list(first.columns) == ["arm", "seed", "value"] and first.loc[0].tolist() == ["base", 2, 2.0]
    assert measured(run, counted, factor=3.0)["value"].tolist() == [6.0] and calls == [2, 2]
    newer = measurement(version=2)(counted.function)
    measured(run, newer)
    assert len(calls) == 3


def test_measurement_settings_are_checked(empty_store):
    run = trained(SMOKE, "base", 2)
    with pytest.raises(SettingsError, match="'factor'"):
        measured(run, counted, facto=1)
    with pytest.raises(SettingsError, match="plain"):
        measured(run, counted, factor=torch.ones(1))
    with pytest.raises(SettingsError, match="measurement"):
        measured(run, lambda run: None)


def test_a_damaged_table_is_an_error(empty_store):
    run = trained(SMOKE, "base", 2)
    measured(run, counted)
    (table,) = (run.folder / "measured").glob("*.parquet")
    _damage(table.parent, table.name, "truncate")
    with pytest.raises(store.BrokenStore, match="measure it anew"):
        measured(run, counted)


def test_the_run_store_follows_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "here"))
    assert paths.runs() == tmp_path / "here"
    monkeypatch.delenv("SEMCONT_RUNS")
    assert paths.runs() == paths.root() / "data" / "runs"
