"""The README: its code runs, its links lead somewhere, its commands exist, and its tables say what was published."""

import json
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest

from semcont.paper import paths, store
from semcont.paper.paths import UserError
from semcont.paper.publishing import provenance, readme
from semcont.paper.verdicts import ledger, records


@pytest.fixture(scope="module")
def text():
    return (paths.root() / "README.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.S | re.M)


def test_its_code_runs(text):
    """All Python blocks in one process, in order, as a reader would paste them."""
    code = "\n".join(blocks(text, "python"))
    assert "ContinuityLoss" in code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_its_links_lead_to_files(text):
    links = re.findall(r"\]\(([^)#]+)\)", text)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) > 10
    missing = [link for link in local if not (paths.root() / link).exists()]
    assert not missing


def test_its_commands_exist(text):
    """`make` targets are in the Makefile (the continuous integration runs them); `semcont` commands are its own."""
    makefile = (paths.root() / "Makefile").read_text(encoding="utf-8")
    integration = (paths.root() / ".ci" / "run").read_text(encoding="utf-8")
    words = [
        shlex.split(line, comments=True) for block in blocks(text, "sh") for line in block.splitlines() if line.strip()
    ]
    assert words
    for command, first, *rest in words:
        if command == "make":
            assert re.search(rf"^{first}:", makefile, flags=re.M), f"no target {first}"
            assert first == "lab" or f"make {first}" in integration
        else:
            assert command == "semcont"
            group = [first, rest[0]] if first == "data" else [first]
            asked = [sys.executable, "-m", "semcont.paper", *group, "--help"]
            assert subprocess.run(asked, capture_output=True, timeout=120, check=False).returncode == 0, (
                f"no command {group}"
            )


@pytest.mark.parametrize("words", [["doctor"], ["data", "list"]])
def test_its_cheap_commands_run(text, words):
    assert f"semcont {' '.join(words)}\n" in text
    assert (
        subprocess.run(
            [sys.executable, "-m", "semcont.paper", *words], capture_output=True, timeout=120, check=False
        ).returncode
        == 0
    )


def test_its_tables_are_the_published_ones(text):
    assert text == readme.generated(text), (
        "README.md is not in step with figures/quick: run `semcont paper`, or readme.update()"
    )


def test_provenance_is_of_the_published_files():
    """Every published picture and table is listed by exactly one notebook, with the bytes that it has."""
    made = provenance.read(readme.PRESET)
    listed = {name: digest for entry in made.values() for name, digest in entry["files"].items()}
    folder = paths.figures(readme.PRESET)
    assert set(made) == set(readme.SECTIONS)
    assert {path.name for path in folder.iterdir()} == {*listed, "provenance.json", records.FILE}
    assert all(store.sha256(folder / name) == digest for name, digest in listed.items())


# --- on synthetic results -------------------------------------------------------------------------------------------

CLAIMS = (
    """\
id,section,claim,paper,ours,verdict,notebook,reason,interval,alpha,scope
one,4.4,First.,(Table 2),"c 60.0 % [58.0, 62.0], base 50.0 %",OUTCOME,05_robustness,,"+10.0 [+4.0, +16.0]",1,SCOPE
two,4.6,Second.,in words,"c 1, base 2 (means over 2 cases)",OUTCOME in 1 of 2,07_transfer,,"a ×0.5; b ×2",1,SCOPE
""".replace("OUTCOME in 1 of 2", '"single run, same direction in 1 of 2"')
    .replace("OUTCOME", '"single run, same direction"')
    .replace("SCOPE", '"d, m, 1 seed"')
)
TUNED = 'one,4.4,First.,(Table 2),"c (tuned) 99 %",reproduced,05_robustness,,,tuned,"d, m, 9 seeds"\n'
LEDGER = """\
- id: one
  section: "4.4"
  claim: First.
  kind: training
  test: A comparison.
  notebook: 05_robustness
  metric: accuracy
  arms: [c, base]
  direction: higher
  margin: 0.01
  paper: {where: Table 2, unit: percent, values: {CIFAR-100: {c: 16.01, base: 9.34}, ImageNet: {c: 1, base: 2}}}
- id: two
  section: "4.6"
  claim: Second.
  kind: training
  test: A comparison.
  notebook: 07_transfer
  metric: accuracy
  arms: [c, base]
  direction: higher
  margin: 0.01
  primary: true
- id: three
  section: "4.7"
  claim: Third, in words and exploratory.
  kind: training
  test: A comparison.
  notebook: 08_fairness
  metric: accuracy
  arms: [c, base]
  direction: higher
  margin: 0.01
"""
RECORD = {"command": "semcont paper", "commit": "abc", "hardware": "a machine", "runtime_s": 30.0, "seeds": [0]}
RECORD |= {"versions": {"torch": "2.14.1"}, "figures": {"fig01": {"publish": True, "png": "1", "csv": None}}}


@pytest.fixture
def published(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "figures", lambda preset: tmp_path / "figures" / preset)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    (tmp_path / "claims.yaml").write_text(LEDGER)
    monkeypatch.setattr(readme, "load_claims", lambda: ledger.load_claims(tmp_path / "claims.yaml"))
    folder = tmp_path / "figures" / "quick"
    folder.mkdir(parents=True)
    (folder / "s09_claims.csv").write_text(CLAIMS + TUNED)
    blocks = "".join(f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->\n" for name in ("short", "results", "map"))
    (tmp_path / "README.md").write_text(f"# title\n{blocks}end\n")
    provenance.write("quick", {"05_robustness": RECORD})
    return tmp_path


def test_update_writes_what_was_found_once(published):
    assert readme.update()
    text = (published / "README.md").read_text()
    first = "| First. (§ 4.4) | CIFAR-100 +6.67<br>ImageNet -1.00<br>(Table 2) | **single run, same direction**<br>"
    assert f"{first}c 60.0 %, base 50.0 %<br>+10.0 [+4.0, +16.0] |" in text
    second = "| Second. (§ 4.6, **primary**) | in words | **single run, same direction in 1 of 2**<br>"
    assert f"{second}c 1, base 2 (means over 2 cases)<br>a ×0.5<br>b ×2 |" in text
    assert "Third" not in text and "tuned" not in text
    assert "All 2 claims under `quick`: 1 *single run, mixed*, 1 *single run, same direction*" in text
    assert "| quick | `semcont paper --preset quick` | 0.5 min | a machine | abc | torch 2.14.1 |" in text
    assert "[fig01](figures/quick/fig01.png)" in text and "| 30 s |" in text
    assert text.startswith("# title\n") and text.endswith("end\n") and "old" not in text
    assert not readme.update()


def test_published_presets_stand_side_by_side(published):
    """A second preset is a second column; what it did not judge is a dash; a preset for tests is never shown."""
    for preset in ("cifar100", "local", "smoke"):
        folder = published / "figures" / preset
        folder.mkdir()
        first = CLAIMS.rpartition("two,")[0].replace("single run, same direction", preset)
        more = first.splitlines()[1].replace("one,", "three,").replace("1 seed", "10 seeds")
        (folder / "s09_claims.csv").write_text(f"{first}{more}\n{TUNED}")
        provenance.write(preset, {"05_robustness": RECORD})
    assert readme.shown() == ["quick", "local", "cifar100"]
    table = readme.results_table(readme.shown())
    heads = (
        "[quick](presets/quick.yaml), 1 seed | [local](presets/local.yaml), 1 to 10 seeds "
        "| [cifar100](presets/cifar100.yaml), 1 to 10 seeds |"
    )
    assert table.startswith(f"| the paper says | it prints | {heads}")
    row = next(line for line in table.splitlines() if line.startswith("| First."))
    assert [cell.split("**")[1] for cell in row.split(" | ")[2:]] == ["single run, same direction", "local", "cifar100"]
    assert next(line for line in table.splitlines() if line.startswith("| Second.")).endswith("b ×2 | – | – |")
    assert readme.update("local") and not readme.update("smoke")


def test_primary_claims_come_first(published):
    """What is primary, under the preset that decides: verdict, arms with their difference, and what that rests on."""
    assert readme.update() and "`semcont paper --preset local` decides" in (published / "README.md").read_text()
    folder = published / "figures" / "local"
    folder.mkdir()
    reason = "p = 1.00 after Holm; training not seen to have levelled off"
    told = CLAIMS.replace('"single run, same direction in 1 of 2",07_transfer,', f"undecided,07_transfer,{reason}")
    (folder / "s09_claims.csv").write_text(told + TUNED)
    assert readme.short_table("local").splitlines()[2:] == [
        "| Second. (§ 4.6) | **undecided: training not levelled off** | c 1, base 2 (means over 2 cases)<br>a ×0.5"
        "<br>b ×2 | p = 1.00 after Holm<br>training not seen to have levelled off |"
    ]


def test_a_preset_that_tests_none_of_the_claims_shown_is_counted_and_gets_no_column(published):
    folder = published / "figures" / "photographs"
    folder.mkdir()
    (folder / "s09_claims.csv").write_text(re.sub("single run, same direction( in 1 of 2)?", "not tested", CLAIMS))
    provenance.write("photographs", {"01_discontinuity": RECORD})
    table = readme.results_table(readme.shown())
    assert "[photographs](presets" not in table and "claims under `photographs`" in table
    assert "| photographs | `semcont paper --preset photographs`" in table


def test_update_leaves_other_presets_and_folders_alone(published, monkeypatch, tmp_path_factory):
    before = (published / "README.md").read_text()
    assert not readme.update("smoke")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(paths, "figures", lambda preset: elsewhere / preset)
    assert not readme.update()
    assert (published / "README.md").read_text() == before


def test_provenance_stays_where_the_same_bytes_were_made_again(published):
    path = published / "figures" / "quick" / "provenance.json"
    before = path.read_bytes()
    provenance.write("quick", {"05_robustness": RECORD | {"runtime_s": 99.0, "commit": "def"}})
    assert path.read_bytes() == before
    changed = {"fig01": {"publish": True, "png": "2", "csv": None}}
    provenance.write("quick", {"05_robustness": RECORD | {"runtime_s": 99.0, "figures": changed}})
    assert json.loads(path.read_text())["05_robustness"]["runtime_s"] == 99.0


def test_what_is_not_published_is_not_in_the_provenance(published):
    hidden = {"fig02": {"publish": False, "png": "1", "csv": None}}
    provenance.write("quick", {"05_robustness": RECORD | {"figures": hidden}})
    assert provenance.read("quick")["05_robustness"]["files"] == {}


def test_missing_markers_or_results_are_said(published):
    with pytest.raises(UserError, match="short:begin"):
        readme.generated("# no markers\n")
    (published / "figures" / "quick" / "s09_claims.csv").unlink()
    with pytest.raises(UserError, match="s09_claims.csv is missing"):
        readme.generated((published / "README.md").read_text())
    assert not readme.update()


def test_what_it_says_of_autoattacks_last_parts_is_so():
    table = pd.read_csv(paths.figures("local") / "audit_autoattack.csv")
    last = table[table["attack"].isin(["fab-t", "square"])]
    assert len(last) and not last["broken"].any()
    assert "last two parts broke no image" in (paths.root() / "README.md").read_text()


def test_what_it_says_of_another_unit_of_the_radius_is_so(text):
    table = pd.read_csv(paths.figures("cifar100-cpu") / "audit_eps.csv")
    table = table[table["training"].str.startswith("radius in normalised space") & (table["space"] == "normalised")]
    assert set(table["training"]) == {f"radius in normalised space{length}" for length in ("", ", 96 epochs")}
    for _, rows in table.assign(off=100 * table["accuracy"] - table["paper"]).groupby("training"):
        off = rows.groupby("arm")["off"].agg(list)
        assert min(off["adv"]) < 0 < max(off["adv"]) and max(off["adv+c"]) < 0
    told = text.replace("\n", " ")
    assert "`adv` passes through the paper's number, but `adv+c` stays below its own at every radius" in told
    assert "after two hours of training (96 epochs) as after the 36 of the other arms" in told
    kept = (paths.checkpoints() / "cifar100-cpu" / "spaces").glob("*/record.json")
    every = [json.loads(path.read_text()) for path in kept]
    hours = [run["seconds"] / 3600 for run in every if run["settings"]["training"]["epochs"] == 96]
    assert hours == pytest.approx([2, 2], rel=0.05)
