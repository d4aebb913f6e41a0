"""The graph runs exactly what is needed: nothing twice, what was edited again, and no more than that."""

import json
import re
import subprocess
import sys

import pytest

from semcont.paper import paths
from semcont.paper.execution import dependencies, graph, pipeline
from semcont.paper.presets import load_preset
from semcont.paper.publishing import figures

# --- the plan ---------------------------------------------------------------------------------------------------------


def test_every_network_is_trained_once_the_longest_first():
    preset = load_preset("quick")
    jobs = graph.training_jobs(preset)
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    assert {"base-s0-plain", "c-s0-plain", "adv-s0-plain", "adv+c-s0-plain"} <= set(names)
    assert set(names[:2]) == {"adv-s0-plain", "adv+c-s0-plain"}
    lengths = [graph.passes(preset, job) for job in jobs]
    assert lengths == sorted(lengths, reverse=True) and lengths[0] == preset.data.train * preset.training.epochs * (
        2 + preset.attack.steps
    )


def test_notebooks_run_as_soon_as_they_can_the_longest_first():
    plan = graph.make_plan("quick")
    trainings = max(job["priority"] for job in plan["train"].values())
    places = {name: notebook["priority"] for name, notebook in plan["notebooks"].items()}
    assert min(places.values()) > trainings and set(graph.LONGEST) < set(places)
    assert sorted(places, key=places.get, reverse=True)[: len(graph.LONGEST)] == list(graph.LONGEST)


def test_the_sweep_of_alpha_reuses_base_and_c():
    preset = load_preset("quick")
    jobs = {job.name for job in graph.training_jobs(preset, "03_continuity")}
    assert not any("alpha=0.0" in name or f"alpha={preset.constraint.alpha}+" in name + "+" for name in jobs)
    others = [alpha for alpha in preset.continuity.alphas if alpha not in (0, preset.constraint.alpha)]
    assert all(any(f"alpha={alpha}" in name for name in jobs) for alpha in others)


@pytest.mark.parametrize("name", sorted(p.stem for p in paths.resource("presets/quick.yaml").parent.glob("*.yaml")))
def test_names_of_jobs_survive_the_way_to_another_machine(name):
    """Snakemake sends a job out as rule:wildcard=value,wildcard=value on a command line, and reads it again there."""
    from snakemake.target_jobs import parse_target_jobs_cli_args

    for job in graph.training_jobs(load_preset(name)):
        wildcards = {"arm": job.arm, "seed": str(job.seed), "change": job.change}
        sent = "train:" + ",".join(f"{key}={value}" for key, value in wildcards.items())
        (found,) = parse_target_jobs_cli_args([sent])
        assert {key: str(value) for key, value in found.wildcards_dict.items()} == wildcards
        assert not set(job.name) & set(" /\\'\"`$;&|<>*?()[]{}!\n")


def test_what_is_planned_is_what_the_store_would_train():
    from semcont.paper import presets

    preset = load_preset("quick")
    for job in graph.training_jobs(preset):
        presets.changed(preset, dict(job.changes))  # refuses what `trained` would refuse


def test_inputs_are_what_is_imported_and_no_other_sections_plots(checkout):
    notebook = checkout.notebook(
        "01_a", "from semcont.paper import plots\nfrom semcont.paper.notebook import begin\nplots.claims_forest"
    )
    found = {str(path.relative_to(dependencies.PACKAGE)) for path in dependencies.of_notebook(notebook)}
    assert {
        "attacks.py",
        "datasets/photodigits.py",
        "training.py",
        "paper/notebook.py",
        "paper/runs.py",
        "paper/plots/style.py",
    } <= found
    assert "paper/plots/__init__.py" not in found and "paper/report.py" not in found and "paper/cli.py" not in found
    for figure, module in _a_figure_of_each_plots_module():
        notebook = checkout.notebook("01_a", f"from semcont.paper import plots\nplots.{figure}(table)")
        plots = {path.stem for path in dependencies.of_notebook(notebook) if path.parent.name == "plots"}
        assert module in plots and plots <= {module, "style", "lines"}


def _a_figure_of_each_plots_module():
    text = (dependencies.PACKAGE / "paper" / "plots" / "__init__.py").read_text()
    return [(name, module) for module, name in re.findall(r"^from \.(\w+) import \(?\s*(\w+)", text, re.M)]


def test_a_preset_from_a_file_keeps_its_path(checkout, tmp_path):
    checkout.notebook("09_claims")
    other = tmp_path / "mine.yaml"
    other.write_text((checkout.root / "presets" / "tiny.yaml").read_text().replace("tiny", "mine"))
    plan = graph.make_plan(str(other))
    assert plan["preset"] == "mine" and plan["argument"] == str(other)


# --- the run ----------------------------------------------------------------------------------------------------------


def _sections(checkout) -> None:
    checkout.section("01_a", "fig01_a")
    checkout.section("08_fairness", "s08_b", "#d55e00")
    checkout.section("09_claims", "table9_c", results={"claims": []})


def _paper(checkout, *more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "semcont.paper", "paper", "--preset", "tiny", "--cores", "2", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=400)


def _ran(said: str) -> list[str]:
    """What the steps said of themselves, e.g. "ran 01_a"."""
    return sorted(" ".join(found) for found in re.findall(r"^(ran|trained|report|publish) +(\w+)", said, re.M))


def test_a_dry_run_lists_exactly_what_is_needed_and_makes_nothing(checkout):
    _sections(checkout)
    done = _paper(checkout, "--dry-run")
    assert done.returncode == 0, done.stderr
    wanted = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M))
    jobs = dict.fromkeys(
        ("notebook_01_a", "notebook_08_fairness", "notebook_09_claims", "report", "publish", "all"), "1"
    )
    trainings = 1 + len(graph.training_jobs(load_preset("tiny"), "08_fairness"))  # base for 01
    assert wanted == jobs | {"train": str(trainings), "total": str(trainings + 6)}
    assert not list(checkout.reports.glob("0*.json")) and not (checkout.root / "figures").exists()


@pytest.mark.slow
def test_the_graph_makes_everything_once_and_again_only_what_changed(checkout):
    checkout.section("01_a", "fig01_a")
    checkout.section("09_claims", "table9_c", results={"claims": []})
    first = _paper(checkout)
    assert first.returncode == 0, first.stdout + first.stderr
    assert _ran(first.stdout) == ["publish 5", "ran 01_a", "ran 09_claims", "report 3", "trained base"]
    figures = checkout.root / "figures" / "tiny"
    assert sorted(path.name for path in figures.iterdir()) == [
        "fig01_a.csv",
        "fig01_a.png",
        "provenance.json",
        "table9_c.csv",
        "table9_c.png",
    ]
    pages = {page: page.stat().st_mtime_ns for page in checkout.reports.glob("*.html")}
    assert {page.name for page in pages} == {"01_a.html", "09_claims.html", "index.html"}

    again = _paper(checkout)
    assert _ran(again.stdout) == [] and "no notebook had to run" in again.stdout
    assert {page: page.stat().st_mtime_ns for page in pages} == pages

    (figures / "fig01_a.png").write_bytes(b"edited")
    (figures / "fig77_stranger.png").touch()
    (checkout.reports / "index.html").unlink()
    assert _ran(_paper(checkout).stdout) == ["publish 5", "report 3"]
    assert not (figures / "fig77_stranger.png").exists() and (figures / "fig01_a.png").read_bytes() != b"edited"

    for folder in (checkout.reports / "figures", figures):
        (folder / "table9_c.png").unlink()
    assert _ran(_paper(checkout).stdout) == ["publish 5", "ran 09_claims", "report 3"]


@pytest.mark.slow
def test_one_failure_is_told_in_a_line_and_the_rest_is_kept(checkout):
    checkout.notebook("08_fairness", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    checkout.section("09_claims", "table9_c")
    done = _paper(checkout)
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if line.startswith("semcont: ")]
    assert len(told) == 1 and "08_fairness.ipynb" in told[0] and "the kernel died" in told[0] and "log: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (checkout.reports / "08_fairness.json").exists() and not list(checkout.reports.glob("*.html"))
    assert not (checkout.root / "figures").exists()


def test_what_is_trained_already_gets_its_stamp_without_a_step_of_the_graph(checkout):
    from semcont.paper import runs
    from semcont.paper.execution import stamping

    checkout.section("01_a", "fig01_a")
    checkout.section("08_fairness", "s08_b")
    plan = graph.make_plan("tiny")
    every = pipeline.stale(plan)
    assert len(every) == len(plan["train"]) > 1 and stamping.found("tiny") == 0

    run = runs.trained(load_preset("tiny"), "base", 0)
    assert stamping.found("tiny") == 1 and stamping.found("tiny") == 0
    (stamp,) = set(every) - set(pipeline.stale(plan))
    assert stamp.name == "base-s0-plain.json" and json.loads(stamp.read_text()) == stamping.content(run)
    assert stamping.content(run)["folder"] == run.folder.name

    stamp.unlink()
    (run.folder / "weights.safetensors").write_bytes(b"damaged")
    assert stamping.found("tiny") == 0 and stamp in pipeline.stale(plan)  # the step that trains it says what is wrong


def test_a_second_invocation_says_that_the_first_is_at_it(checkout):
    checkout.section("09_claims", "table9_c")
    checkout.reports.mkdir(parents=True)
    with pipeline._lock(checkout.reports / ".paper.lock", "tiny"):
        done = _paper(checkout)
    assert done.returncode == 1 and done.stderr.strip() == "semcont: the paper is already being made under preset tiny"


def test_without_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "_checkout", lambda: None)
    with pytest.raises(paths.NoCheckout, match="needs a checkout"):
        pipeline.run("quick", 1, [])


def test_an_unknown_preset_is_refused_in_a_line(checkout):
    command = [sys.executable, "-m", "semcont.paper", "paper", "--preset", "tinny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (
        done.returncode == 2
        and "'tinny'" in done.stderr
        and "'tiny'" in done.stderr
        and len(done.stderr.splitlines()) == 1
    )


# --- what Snakemake cannot see ----------------------------------------------------------------------------------------


@pytest.fixture
def made(checkout):
    """A report as a run would have left it, made by hand; returns the plan."""
    from semcont.paper import store

    folder = checkout.reports
    files = {"fig01_a.png": b"png", "fig01_a.csv": b"csv"}
    for name, content in files.items():
        store.write_whole(folder / "figures" / name, lambda part, content=content: part.write_bytes(content))
    digest = {name[-3:]: store.sha256(folder / "figures" / name) for name in files}
    store.write_json(
        folder / "01_a.json", {"preset": "tiny", "figures": {"fig01_a": digest | {"publish": True, "kind": "figure"}}}
    )
    for name in ("notebooks/01_a.ipynb", "01_a.html"):
        store.write_json(folder / name, {})
    receipt = {
        "notebook": store.sha256(folder / "notebooks" / "01_a.ipynb"),
        "record": store.sha256(folder / "01_a.json"),
    }
    store.write_json(folder / "stamps" / "01_a.json", receipt)
    store.write_json(folder / "stamps" / "train" / "base-s0-plain.json", {"folder": "base-s0-abc"})
    store.write_json(paths.runs() / "base-s0-abc" / "record.json", {})
    store.write_json(
        folder / "stamps" / "report.json",
        {"preset": "tiny", "files": {"01_a.html": store.sha256(folder / "01_a.html")}},
    )
    store.write_json(folder / "stamps" / "publish.json", {"preset": "tiny", "files": figures.publish("tiny")})
    return {"preset": "tiny", "notebooks": {"01_a": {}}, "train": {"base-s0-plain": {}}}


def test_nothing_is_mended_where_nothing_changed(made):
    assert pipeline.mend(made) == []


@pytest.mark.parametrize(
    ("path", "edit", "gone", "said"),
    [
        ("notebooks/01_a.ipynb", None, "01_a.json", "01_a.ipynb is missing"),
        ("notebooks/01_a.ipynb", "{ }", "01_a.json", "01_a.ipynb was changed"),
        ("01_a.json", '{"preset": "tiny", "figures": {}}', "01_a.json", "01_a.json was changed"),
        ("01_a.json", '{"figu', "01_a.json", "cannot be read"),
        ("stamps/01_a.json", None, "01_a.json", "was changed"),
        ("01_a.html", None, "stamps/report.json", "01_a.html is missing"),
        ("01_a.html", "x", "stamps/report.json", "01_a.html was changed"),
        ("../../figures/tiny/fig01_a.png", None, "stamps/publish.json", "fig01_a.png is missing"),
        ("../../figures/tiny/fig01_a.png", "x", "stamps/publish.json", "fig01_a.png was changed"),
        ("../../figures/tiny/fig02_b.csv", "x", "stamps/publish.json", "fig02_b.csv is of no notebook"),
        ("../../../runs/base-s0-abc/record.json", None, "stamps/train/base-s0-plain.json", "not in the store"),
    ],
)
def test_exactly_what_was_touched_loses_its_sign_of_success(checkout, made, path, edit, gone, said):
    target = checkout.reports / path
    if edit is None:
        target.unlink()
    else:
        target.write_text(edit)
    signs = {
        sign: sign.exists() for sign in [*checkout.reports.glob("0*.json"), *checkout.reports.glob("stamps/*/*.json")]
    }
    signs |= {checkout.reports / "stamps" / name: True for name in ("report.json", "publish.json")}
    (line,) = pipeline.mend(made)
    assert said in line
    assert {sign for sign in signs if not sign.exists()} == {checkout.reports / gone}


@pytest.mark.parametrize("edit", [None, "x"])
def test_a_staged_figure_comes_back_from_the_published_one_or_its_notebook_runs(checkout, made, edit):
    staged, published = checkout.reports / "figures" / "fig01_a.png", paths.figures("tiny") / "fig01_a.png"
    for file in (staged, published):
        file.unlink() if edit is None else file.write_text(edit)
        lines = pipeline.mend(made)
        if file == staged:
            assert lines == [] and staged.read_bytes() == b"png"
            staged.unlink()
    assert len(lines) == 2 and "01_a: fig01_a.png is missing" in lines[0] and "publish: fig01_a.png" in lines[1]
    assert not (checkout.reports / "01_a.json").exists()


def test_only_what_may_be_published_is(checkout, made):
    record = checkout.reports / "01_a.json"
    content = json.loads(record.read_text())
    content["figures"]["fig01_a"]["publish"] = False
    record.write_text(json.dumps(content))
    figures.publish("tiny")
    assert [path.name for path in paths.figures("tiny").iterdir()] == ["provenance.json"]


def test_publishing_before_anything_ran_says_what_to_do(checkout):
    with pytest.raises(paths.UserError, match="semcont paper --preset tiny"):
        figures.publish("tiny")
