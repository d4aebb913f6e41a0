"""Published networks: what was trained is taken from data/checkpoints, checked, and never trained again."""

import re
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
import torch

from semcont.datasets.files import DataError
from semcont.paper import paths, published, robustness, runs, store
from semcont.paper.execution import graph
from semcont.paper.measurements import measurement
from semcont.paper.presets import load_preset
from semcont.paper.publishing import cards
from semcont.paper.runs import measured, trained
from semcont.paper.shelf import MEASURED, fetch
from semcont.paper.store import BrokenStore
from semcont.paper.strict import SettingsError

SMOKE = load_preset("smoke")


@measurement(version=1)
def one(run):
    return pd.DataFrame({"value": [1.0]})


@measurement(version=1, pictures=True)
def map_of_an_image(run):
    return pd.DataFrame({"value": [1.0]})


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty store and an empty shelf of published networks; moving to another store is one call."""
    monkeypatch.setenv("SEMCONT_CHECKPOINTS", str(tmp_path / "shelf"))

    def store(name: str) -> None:
        monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / name))

    store("first")
    return store


def test_a_published_run_comes_with_its_measurements_and_is_not_trained(shelf, monkeypatch, capsys):
    first = trained(SMOKE, "base", 0)
    measured(first, one)
    assert published.publish(SMOKE) == [first.folder.name]
    shelf("second")
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(one, "function", lambda run: pytest.fail("measured again"))
    capsys.readouterr()
    again = trained(SMOKE, "base", 0)
    assert capsys.readouterr().out == f"base, seed 0: the published network {first.folder.name}, not trained here\n"
    assert trained(SMOKE, "base", 0).record == first.record and capsys.readouterr().out == ""  # the store has it now
    assert again.folder != first.folder and again.record == first.record
    assert (again.history == first.history).all().all()
    assert measured(again, one)["value"].tolist() == [1.0]


def test_what_was_measured_is_one_archive_the_same_whenever_it_is_written(shelf):
    first = trained(SMOKE, "base", 0)
    measured(first, one)
    published.publish(SMOKE)
    archive = paths.checkpoints() / "smoke" / first.folder.name / MEASURED
    before, stamp = archive.read_bytes(), archive.stat().st_mtime_ns
    for file in (first.folder / "measured").iterdir():
        file.touch()
    published.publish(SMOKE)
    assert archive.read_bytes() == before and archive.stat().st_mtime_ns == stamp


def test_tables_that_show_pictures_are_not_published(shelf):
    first = trained(SMOKE, "base", 0)
    for function in (one, map_of_an_image):
        measured(first, function)
    archive = paths.checkpoints() / "smoke" / first.folder.name / MEASURED
    published._pack(first.folder / "measured", archive)
    assert {name.split("-")[0] for name in zipfile.ZipFile(archive).namelist()} == {"test_published.one"}


def test_an_archive_that_is_cut_or_names_a_path_is_refused(shelf):
    first = trained(SMOKE, "base", 0)
    measured(first, one)
    published.publish(SMOKE)
    archive = paths.checkpoints() / "smoke" / first.folder.name / MEASURED
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    shelf("second")
    with pytest.raises(BrokenStore, match=r"measured\.zip cannot be read"):
        trained(SMOKE, "base", 0)
    with zipfile.ZipFile(archive, "w") as tables:
        tables.writestr("../escape.json", "{}")
    with pytest.raises(BrokenStore, match="escape"):
        trained(SMOKE, "base", 0)


def test_a_published_network_needs_no_data(shelf, monkeypatch):
    first = trained(SMOKE, "adv+c", 0)
    trained(SMOKE, "adv+c", 0, epochs=1)
    published.publish(SMOKE)
    monkeypatch.setattr(runs, "source_of", lambda *_, **__: pytest.fail("looked for data"))
    network = published.network("smoke", "adv+c")
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(x), first.model()(x)) and not network.training
    with pytest.raises(SettingsError, match=r"no network of base, seed 0, is published for preset smoke"):
        published.network("smoke", "base")


def test_the_card_says_what_was_measured_on_the_very_file(shelf):
    run = trained(SMOKE, "adv+c", 0)
    published.publish(SMOKE)
    (page,) = (paths.checkpoints() / "smoke").glob("*.md")
    assert page.stem == run.folder.name and "nothing yet" in page.read_text()
    table = measured(run, robustness.by_attack, attacks=robustness.table2(SMOKE))
    published.publish(SMOKE)
    text = page.read_text()
    found = re.findall(r"^\| (\S+) \| (\S*) ?\| ([\d.]+) \| [\d.]+ to [\d.]+ \| ([\d,]+) \|$", text, flags=re.M)
    expected = [
        (r.attack, "" if r.eps == 0 else "8/255", f"{100 * r.accuracy:.2f}", f"{r.n:,}") for r in table.itertuples()
    ]
    assert found == expected and len(found) == 2
    assert run.record["files"]["weights.safetensors"][:16] in text
    assert "0.5 CE(x) + 0.5 CE(x') + 1 DS, x' by PGD" in text


COMMITTED = sorted(paths.checkpoints().glob("*/*.md"))


@pytest.mark.parametrize("page", COMMITTED, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_committed_cards_are_in_step_and_their_weights_load(page, tmp_path):
    folder = tmp_path / page.stem
    assert fetch(folder)
    assert cards.card(folder, load_preset(page.parent.name)) == page.read_text(encoding="utf-8")
    arm, seed = re.match(r"(.+)-s(\d+)-", page.stem).groups()
    network = published.network(page.parent.name, arm, int(seed))
    assert sum(value.numel() for value in network.parameters()) > 1000


GROUPS = sorted(paths.checkpoints().glob("*/*/README.md"))


@pytest.mark.parametrize("page", GROUPS, ids=lambda page: f"{page.parts[-3]}/{page.parts[-2]}")
def test_committed_groups_are_in_step_and_their_weights_load(page, tmp_path):
    lines = [line.split(" | ") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][2:]
    networks = [(tmp_path / run.removeprefix("| "), differs) for run, differs, *_ in lines]
    assert {folder.name for folder, _ in networks} == {path.name for path in page.parent.iterdir() if path.is_dir()}
    for folder, _ in networks:
        assert fetch(folder)
        store.check_files(folder, store.read_json(folder / "record.json", "")["files"], lambda _: True, "")
    assert cards.table(f"{page.parts[-3]}: {page.parts[-2]}", networks) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", COMMITTED, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_committed_cards_hold_on_what_data_is_there(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path))
    preset = load_preset(page.parent.name)
    arm, seed = re.match(r"(.+)-s(\d+)-", page.stem).groups()
    try:
        run = trained(preset, arm, int(seed))
    except (DataError, paths.UserError) as error:
        pytest.skip(f"{preset.data.name} is not at hand: {error}")
    assert run.folder.name == page.stem
    attacks = {"none": robustness.table2(preset)["none"]}
    card = cards.tables(run.folder, "robustness.by_attack")[0][1].set_index("attack")["accuracy"]
    again = robustness.by_attack(run, attacks=attacks)["accuracy"].iloc[0]
    assert again == pytest.approx(card["none"], abs=2e-3)  # other kernels may turn a close call
    if seed == "0":  # one of each arm: seconds each, minutes on the larger network
        (settings, curve), *_ = cards.tables(run.folder, "robustness.by_eps")
        attacked = robustness.by_eps(run, **settings | {"eps": [8.0]})["accuracy"].iloc[0]
        assert attacked == pytest.approx(curve.set_index("eps")["accuracy"][8], abs=1e-2)


def test_one_network_of_each_arm_is_published_unless_more_are_asked_for(shelf):
    two = replace(SMOKE, seeds=2)
    names = [trained(two, "base", seed).folder.name for seed in (1, 0)]
    assert published.publish(two) == names[1:]
    assert published.publish(two, seeds=2) == names[::-1]


def test_a_published_file_that_was_altered_is_refused(shelf):
    name = trained(SMOKE, "base", 0).folder.name
    published.publish(SMOKE)
    weights = paths.checkpoints() / "smoke" / name / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    shelf("second")
    with pytest.raises(BrokenStore, match="weights.safetensors is truncated or was altered"):
        trained(SMOKE, "base", 0)


def test_a_run_that_is_not_finished_or_too_large_is_not_published(shelf, monkeypatch):
    assert published.publish(SMOKE) == []
    trained(SMOKE, "base", 0)
    monkeypatch.setattr(published, "LARGEST", 10)
    with pytest.raises(paths.UserError, match=r"cannot be published: the most is 10 .*float16"):
        published.publish(SMOKE)


def test_a_large_table_is_measured_again_and_not_published(shelf, monkeypatch):
    first = trained(SMOKE, "base", 0)
    measured(first, one)
    monkeypatch.setattr(published, "LARGEST_TABLE", 10)
    published.publish(SMOKE)
    assert not (paths.checkpoints() / "smoke" / first.folder.name / MEASURED).exists()


def test_a_network_beside_the_arms_is_published_by_its_group_where_that_is_asked_for(shelf, monkeypatch):
    job = next(job for job in graph.beside(SMOKE)["alphas"] if job.arm == "c")
    run = trained(SMOKE, job.arm, job.seed, **dict(job.changes))
    table = measured(run, robustness.by_attack, attacks=robustness.table2(SMOKE))
    assert published.publish(SMOKE) == []
    assert published.publish_beside(SMOKE) == [run.folder.name]
    page = (paths.checkpoints() / "smoke" / "alphas" / "README.md").read_text(encoding="utf-8")
    clean, attacked = (f"{100 * value:.1f}" for value in table["accuracy"])
    assert f"| {run.folder.name} | {' '.join(job.words)} | {clean} | {attacked} | " in page
    assert "| differs in | clean | PGD | minutes |" in page  # no network of the group has a worst case
    shelf("second")
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    assert trained(SMOKE, job.arm, job.seed, **dict(job.changes)).record == run.record
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(published.network("smoke", "c", **dict(job.changes))(x), run.model()(x))
    with pytest.raises(SettingsError, match=r"no network of c, seed 0, epochs=7, is published"):
        published.network("smoke", "c", epochs=7)


def test_a_group_can_be_left_out_of_what_is_published_beside_the_arms(shelf):
    groups = graph.beside(SMOKE)
    jobs = groups["alphas"][-1], groups["spaces"][0]
    kept, left = (trained(SMOKE, job.arm, job.seed, **dict(job.changes)) for job in jobs)
    assert published.publish_beside(SMOKE, without=["spaces"]) == [kept.folder.name]
    assert not (paths.checkpoints() / "smoke" / "spaces").exists()
    assert published.publish_beside(SMOKE) == [kept.folder.name, left.folder.name]
    with pytest.raises(paths.UserError, match="maps: no group of preset smoke, which has .*alphas"):
        published.publish_beside(SMOKE, without=["alphas", "maps"])


def test_every_network_of_the_study_is_an_arm_or_in_one_group():
    local = load_preset("local")
    jobs = [job for group in graph.beside(local).values() for job in group]
    assert len(set(jobs)) == len(jobs) > 20 and not set(jobs) & set(graph.arms(local))
    assert {*jobs, *graph.arms(local), *graph.pretrained(local)} == {*graph.training_jobs(local)}


def test_what_is_measured_is_what_was_stored(shelf):
    half, full = (trained(SMOKE, "base", 0, stored=kind) for kind in ("float16", "float32"))
    assert half.key != full.key
    for name, value in full.model().state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(half.model().state_dict()[name], expected)
