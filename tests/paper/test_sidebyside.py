"""Published presets side by side: which are shown, in which order, and what a reader sees of each."""

import pandas as pd
import pytest

from semcont.paper import claims, paths, plots
from semcont.paper.execution import graph
from semcont.paper.presets import load_preset
from semcont.paper.publishing import sidebyside
from semcont.paper.verdicts import compact


def verdicts(verdict, alpha="1", scope="photodigits, resnet18-slim3, 1 seed", **more) -> dict:
    row = {"id": "constraint-defends-slightly", "section": "4.4", "claim": "It defends.", "paper": "Table 2"}
    row |= {"ours": "c 2, base 1", "verdict": verdict, "interval": "+1.0 [+0.5, +1.5]", "alpha": alpha, "scope": scope}
    return row | more


def case(estimate, seeds, **more) -> dict:
    row = {"id": "constraint-defends-slightly", "section": "4.4", "alpha": "1", "case": "", "seeds": seeds}
    row |= {"unit": "percent", "sign": 1, "estimate": estimate, "low": estimate - 1, "high": estimate + 1}
    return row | {"over": "seeds" if seeds > 1 else "test images", "result": "same"} | more


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Four presets that published: one of them before the ledger had intervals, one for tests."""
    monkeypatch.setattr(paths, "figures", lambda preset: tmp_path / preset)
    found = {"quick": "single run, same direction", "local": "reproduced", "cifar100": "undecided", "smoke": "nonsense"}
    for preset, verdict in found.items():
        (tmp_path / preset).mkdir()
        table = pd.DataFrame([verdicts(verdict)]).reindex(columns=claims.COLUMNS)
        if preset == "quick":
            table = table.drop(columns=["interval", "alpha", "scope"])
        table.to_csv(tmp_path / preset / "s09_claims.csv", index=False)
        if preset != "quick":
            rows = pd.DataFrame([case(3, 10)]).reindex(columns=claims.CASES)
            rows.to_csv(tmp_path / preset / "s09_tests.csv", index=False)
    return tmp_path


def own() -> pd.DataFrame:
    rows = [verdicts("contradicted", scope="photodigits, resnet18-slim3, 10 seeds, primary")]
    rows += [verdicts("reproduced", "tuned"), verdicts("not tested", id="objects-are-central", interval="", scope="")]
    few = "photodigits, resnet18-slim3, 3 seeds, exploratory"
    rows += [verdicts("undecided", id="constraint-keeps-clean-accuracy", claim="It costs nothing.", scope=few)]
    rows += [verdicts("holds here", id="taylor-expansion-with-half", claim="Half.", interval="", scope="an equation")]
    return pd.DataFrame(rows).reindex(columns=claims.COLUMNS)


def test_presets_for_tests_are_left_out_and_others_have_an_order(published):
    assert sidebyside.published() == ["quick", "local", "cifar100"]
    files = [path.relative_to(published).as_posix() for path in sidebyside.sources("local")]
    assert files == ["quick/s09_claims.csv", "cifar100/s09_claims.csv", "cifar100/s09_tests.csv"]


def test_ones_own_verdicts_take_the_place_of_the_published_ones(published):
    table = sidebyside.verdicts("local", own())
    first = table[table["id"] == "constraint-defends-slightly"]
    assert first["preset"].tolist() == ["quick", "local", "local", "cifar100"]
    assert first["verdict"].tolist() == ["single run, same direction", "contradicted", "reproduced", "undecided"]
    assert not table.isna().any(axis=None)


def test_a_reader_sees_a_line_per_claim_and_a_column_per_preset(published):
    wide = sidebyside.for_reading(sidebyside.verdicts("local", own()))
    assert list(wide.columns) == ["section", "claim", "rank", "paper", "quick", "local", "cifar100"]
    assert wide["claim"].tolist() == ["Half.", "It defends.", "It defends. (at a tuned alpha)", "It costs nothing."]
    assert wide.loc[1, ["rank", "quick", "local"]].tolist() == [
        "primary",
        "single run, same direction\nc 2, base 1",
        "contradicted\nc 2, base 1\n+1.0 [+0.5, +1.5]",
    ]
    tuned = ["–", "reproduced\nc 2, base 1\n+1.0 [+0.5, +1.5]", "–"]
    assert wide.loc[2, ["quick", "local", "cifar100"]].tolist() == tuned


def test_a_presets_scope_has_the_range_of_its_claims_seeds(published):
    """Of those that it decided at the paper's alpha: not the tuned row's one seed."""
    scopes = sidebyside.scopes(sidebyside.verdicts("local", own())).set_index("preset")
    assert scopes.loc["local"].tolist() == ["photodigits, resnet18-slim3, 3 to 10 seeds", 3, 1]
    assert scopes.loc["cifar100"].tolist() == ["photodigits, resnet18-slim3, 1 seed", 1, 0]
    assert scopes.loc["quick"].tolist() == ["–", 1, 0]  # published before there were scopes


@pytest.mark.parametrize(
    ("ours", "interval", "shown"),
    [
        ("c 1.55 [1.44, 1.67], base 3.16 [2.97, 3.37]", "×0.49 [0.445, 0.54]", "c 1.55, base 3.16"),
        ("c 0.6 %, base 1.1 % (means over 10 seeds)", "-0.4", "c 0.6 %, base 1.1 % (means over 10 seeds)"),
        ("c 1, base 2 (means over 16 cases); c lower in 9 of 16", "16 cases, ×1 to ×2", "(means over 16 cases)"),
        ("pca: 4 [3, 5]; tsne: 3 [2, 4] (over 3 seeds)", "", "pca: 4 [3, 5]; tsne: 3 [2, 4] (over 3 seeds)"),
    ],
)
def test_a_cell_has_one_interval_and_says_over_what_it_is_a_mean(ours, interval, shown):
    cell = compact.cell({"verdict": "undecided", "ours": ours, "interval": interval})
    assert cell.ours.endswith(shown) and cell.interval == interval and " lower in " not in cell.ours


def test_a_cell_says_where_training_leaves_it_open():
    row = {"verdict": "undecided", "ours": "c 2, base 1", "interval": "+1.0 [+0.9, +1.1]"}
    told = compact.cell(row | {"reason": "training of c had not levelled off; as it stands reproduced"})
    assert told.verdict == "undecided: training not levelled off"
    assert compact.cell(row | {"reason": "p = 0.3"}).verdict == "undecided"


def test_a_preset_that_never_published_has_its_place(published):
    assert sidebyside.order(sidebyside.verdicts("imagenette", own())) == ["quick", "local", "cifar100", "imagenette"]


def test_the_forest_has_a_lane_per_preset(published):
    lanes = sidebyside.tests("quick", pd.DataFrame([case(-2, 1)]).reindex(columns=claims.CASES))
    assert lanes["preset"].tolist() == ["quick", "local", "cifar100"]
    paper = pd.DataFrame([{"id": "constraint-defends-slightly", "source": "paper", "unit": "percent", "sign": 1}])
    ax = plots.claims_presets(lanes, paper.assign(difference=6.67))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["paper", "quick, 1 seed", "local, 10 seeds", "cifar100, 10 seeds"]
    mixed = pd.concat([lanes, pd.DataFrame([case(1, 1, preset="local")])], ignore_index=True)
    told = plots.claims_presets(mixed, paper.assign(difference=6.67)).get_legend().get_texts()
    assert "local, 1 to 10 seeds" in [text.get_text() for text in told]
    dots = [(float(x), float(y)) for points in ax.collections for x, y in getattr(points, "get_offsets", list)()]
    shown = sorted({(x, round(y, 3)) for x, y in dots if x in (6.67, -2, 3)}, key=lambda dot: dot[1])
    assert [x for x, _ in shown] == [6.67, -2, 3, 3]  # from the top: the paper, then a lane each
    assert "quick: 0 of 1 on the paper's side; local: 1 of 1" in sidebyside.describe(lanes)
    more = pd.concat([lanes, lanes.assign(alpha="tuned")])  # which the figure leaves out
    assert sidebyside.describe(more) == sidebyside.describe(lanes)


def test_the_ledgers_notebook_is_made_again_when_another_preset_publishes(published):
    notebook = paths.notebooks() / f"{graph.CLAIMS}.ipynb"
    settings = paths.resource("presets/quick.yaml")
    inputs = graph._notebook(load_preset("quick"), notebook, settings)["inputs"]
    assert sum(file.endswith("s09_tests.csv") for file in inputs) == 2
    assert not any("smoke" in file or "quick/s09" in file for file in inputs)


def test_the_published_page_shows_the_other_presets_as_they_published():
    """What README links to; if it fails, `semcont paper --preset quick` makes the ledger's notebook again."""
    first, *others = sidebyside.published()
    together = pd.read_csv(paths.figures(first) / "s09_presets.csv", keep_default_na=False, dtype=str)
    assert set(together["preset"]) == {first, *others}
    for preset in others:
        own = pd.read_csv(paths.figures(preset) / sidebyside.CLAIMS, keep_default_na=False, dtype=str)
        shown = together[together["preset"] == preset].set_index("id")
        assert shown["verdict"].to_dict() == own.set_index("id")["verdict"].to_dict()
        assert shown["interval"].to_dict() == own.set_index("id")["interval"].to_dict()
