"""What was published of the notebooks' results: it judges as the records did, and one notebook can be brought up to
date without the others."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from semcont.paper import claims, paths, store
from semcont.paper.evidence import absent, evidence
from semcont.paper.execution import execute
from semcont.paper.publishing import figures
from semcont.paper.verdicts import findings, records

FIRST, SECOND = "01_a", "02_b"
ACCURACY = [
    {"arm": arm, "seed": k, "accuracy": 0.5 + 0.1 * (arm == "c") + k / 3} for arm in ("base", "c") for k in (0, 1)
]


def results(value: float = 0.5, **more) -> dict:
    """A notebook's results: a measure, one that is absent, and what the ledger has no use for."""
    table = pd.DataFrame(ACCURACY).assign(accuracy=lambda t: t["accuracy"] + value)
    measures = {"accuracy": evidence(table, "accuracy", unit="share"), "other": absent("no data")}
    return {"evidence": measures, "curve": list(range(1000))} | more


@pytest.fixture(autouse=True)
def nothing_published():
    """Here what is published counts."""


@pytest.fixture
def made(checkout) -> Path:
    """Two notebooks that came through, each with a table, published together; the folder of their records."""
    (checkout.reports / "figures").mkdir(parents=True)
    for name, extra in ((FIRST, {}), (SECOND, {"levelled": [{"arm": "base", "levelled": True}]})):
        checkout.notebook(name)
        write(checkout.reports, name, results(**extra))
    figures.publish("tiny")
    return checkout.reports


def write(reports: Path, name: str, content: dict, text: str = "a,b\n1,2\n") -> None:
    table = reports / "figures" / f"{name}.csv"
    table.write_text(text)
    about = {"publish": True, "png": None, "csv": store.sha256(table)}
    record = {"command": "semcont run", "runtime_s": 1.0, "versions": {}, "results": content, "figures": {name: about}}
    store.write_json(reports / f"{name}.json", record)


def claim(notebook: str, metric: str = "accuracy"):
    (entry,) = [entry for entry in claims.load_claims() if entry.id == "constraint-keeps-clean-accuracy"]
    return replace(entry, notebook=notebook, metric=metric)


def test_a_claim_finds_the_same_in_what_is_published(made):
    recorded = findings.find(claim(FIRST), "tiny")
    assert "curve" in findings.results_of("tiny", FIRST)
    (made / f"{FIRST}.json").unlink()
    again = findings.find(claim(FIRST), "tiny")
    assert again.unit == recorded.unit and again.rows.drop(columns="value").equals(recorded.rows.drop(columns="value"))
    assert again.rows["value"].tolist() == pytest.approx(recorded.rows["value"].tolist(), rel=1e-8)
    assert set(findings.results_of("tiny", FIRST)) == {"evidence"}
    with pytest.raises(findings.NotMade, match="no data"):
        findings.find(claim(FIRST, "other"), "tiny")
    with pytest.raises(findings.Missing, match="holds no measure 'elsewhere'"):
        findings.find(claim(FIRST, "elsewhere"), "tiny")
    with pytest.raises(findings.Missing, match="no record 03_c.json: run `semcont run 03_c preset=tiny`"):
        findings.find(claim("03_c"), "tiny")


def test_a_record_of_ones_own_comes_first(made):
    write(made, FIRST, results(0.1))
    values = findings.find(claim(FIRST), "tiny").rows["value"]
    (made / f"{FIRST}.json").unlink()
    assert (findings.find(claim(FIRST), "tiny").rows["value"] - values).tolist() == pytest.approx([0.4] * 4)
    (made / f"{FIRST}.json").write_text("{}")  # begun again and not through: neither its own nor what is published
    with pytest.raises(findings.Missing):
        findings.find(claim(FIRST), "tiny")


def test_a_line_holds_a_measure_and_the_file_is_the_same_whenever_it_is_written(made):
    path = paths.figures("tiny") / records.FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["notebook"], line["of"], line.get("measure")) for line in lines] == [
        (FIRST, "evidence", "accuracy"),
        (FIRST, "evidence", "other"),
        (SECOND, "evidence", "accuracy"),
        (SECOND, "evidence", "other"),
        (SECOND, "levelled", None),
    ]
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert figures.publish("tiny")[records.FILE] == store.sha256(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_one_notebook_is_published_again_and_the_other_stays(made):
    published = paths.figures("tiny")
    before = (published / f"{SECOND}.csv").read_bytes()
    provenance = json.loads((published / "provenance.json").read_text())
    for path in (made / f"{SECOND}.json", made / "figures" / f"{SECOND}.csv"):
        path.unlink()
    write(made, FIRST, results(0.2), "a,b\n3,4\n")
    files = figures.publish("tiny")
    assert set(files) == {f"{FIRST}.csv", f"{SECOND}.csv", "provenance.json", records.FILE}
    assert (published / f"{SECOND}.csv").read_bytes() == before and "3,4" in (published / f"{FIRST}.csv").read_text()
    after = json.loads((published / "provenance.json").read_text())
    assert after[SECOND] == provenance[SECOND] and after[FIRST]["files"] != provenance[FIRST]["files"]
    assert records.published("tiny", SECOND)["levelled"] == [{"arm": "base", "levelled": True}]


def test_what_stays_has_to_be_as_it_was_published(made):
    (made / f"{SECOND}.json").unlink()
    (paths.figures("tiny") / f"{SECOND}.csv").write_text("edited")
    with pytest.raises(paths.UserError, match=rf"{SECOND}.csv is not as {SECOND} published it: check it out again"):
        figures.publish("tiny")


def test_a_notebook_that_is_no_more_leaves_nothing_behind(made):
    (made / f"{SECOND}.json").unlink()
    (paths.notebooks() / f"{SECOND}.ipynb").unlink()
    assert set(figures.publish("tiny")) == {f"{FIRST}.csv", "provenance.json", records.FILE}
    assert records.published("tiny", FIRST) and not records.published("tiny", SECOND)
    assert not (paths.figures("tiny") / f"{SECOND}.csv").exists()


def test_the_ledger_alone_takes_what_is_published_and_runs_the_rest(made, monkeypatch, capsys):
    wanted = [claim(FIRST), claim(SECOND), claim("03_c")]
    monkeypatch.setattr(findings, "load_claims", lambda: wanted)
    monkeypatch.setattr(execute, "prepare", lambda name, words: name)
    ran = []
    monkeypatch.setattr(execute, "run", ran.append)
    (made / f"{SECOND}.json").unlink()
    assert findings.gather("tiny") == ran == ["03_c"]
    said = capsys.readouterr().out
    assert f"not run here, taken as published in figures/tiny/{records.FILE}: {SECOND}\n" in said
    assert findings.gather("tiny", seed=5) == [SECOND, "03_c"]  # published is the first seed


PUBLISHED = sorted(path.parent.name for path in paths.figures("quick").parent.glob(f"*/{records.FILE}"))


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_evidence_gives_the_published_verdicts(preset, tmp_path, monkeypatch):
    """Without a record and without running anything: to what is printed, the very table."""
    monkeypatch.setenv("SEMCONT_REPORTS", str(tmp_path))
    judged = claims.verdicts(preset).fillna("").reset_index(drop=True)
    table = pd.read_csv(paths.figures(preset) / "s09_claims.csv", keep_default_na=False, dtype=str)
    columns = ["id", "ours", "verdict", "interval", "alpha"]
    assert judged[columns].equals(table[columns])
