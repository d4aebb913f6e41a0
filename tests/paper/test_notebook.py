"""What a notebook needs around its prose: parameters checked, figures staged, the record last."""

import json
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from semcont.paper import devices, notebook, paths, store
from semcont.paper.execution import parameters
from semcont.paper.notebook import begin
from semcont.paper.strict import SettingsError


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Reports go to a temporary folder; what would be displayed is caught."""
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path / preset)
    caught = []
    monkeypatch.setattr(notebook, "_show", lambda data, metadata: caught.append((data, metadata)))
    return caught


def _axes():
    ax = plt.subplots()[1]
    ax.plot([0, 1], [0, 1])
    return ax


def test_begin_says_where_it_stands_and_takes_the_former_record_away(shown, tmp_path, capsys):
    old = tmp_path / "smoke" / "x.json"
    old.parent.mkdir()
    old.write_text("{}", encoding="utf-8")
    section = begin("x", preset="smoke", seed=3)
    line = capsys.readouterr().out
    assert not old.exists() and section.seeds == [3]
    assert line.count("\n") == 1 and all(
        word in line for word in ("smoke", "seed 3", section.device, "thread", "torch")
    )
    assert torch.get_num_threads() == section.preset.threads


def test_runs_are_on_the_sections_seeds_unless_others_are_named(shown):
    section = begin("x", preset="smoke", seed=3)
    assert [(run.arm, run.seed) for run in section.runs(["base"], seeds=2)] == [("base", 3), ("base", 4)]
    assert [run.seed for run in section.runs(["base"], seeds=1, first=100, data_seed=1)] == [100]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"preset": "smok"}, ("'smok'", "'smoke'")),
        ({"preset": "smoke", "seed": "one"}, ("seed", "'one'", "integer")),
        ({"preset": "smoke", "seed": -1}, ("seed", "-1")),
        ({"preset": "smoke", "sede": 1}, ("'sede'", "'seed'")),
        ({"preset": "smoke", "seed": True}, ("seed", "True")),
    ],
)
def test_a_bad_parameter_is_named(shown, values, names):
    with pytest.raises(SettingsError) as raised:
        begin("x", **values)
    assert all(name in str(raised.value) for name in names)


def test_an_unknown_device_is_one_line(shown):
    with pytest.raises(paths.UserError, match="not available") as raised:
        begin("x", preset="smoke", device="cuda:77")
    assert "\n" not in str(raised.value)
    assert devices.resolve("cpu") == "cpu"


def test_figures_appear_only_with_the_record(shown, tmp_path):
    section = begin("x", preset="smoke")
    table = pd.DataFrame({"arm": ["c"], "score": [0.25]})
    section.figure("fig99_test", _axes(), table=table, alt="a line")
    section.table("table9_test", table, caption="One row.")
    folder = tmp_path / "smoke"
    assert not (folder / "figures").exists() and not (folder / "x.json").exists()
    section.record(value=np.float32(0.5), table=table, nothing=float("nan"))
    record = json.loads((folder / "x.json").read_text(encoding="utf-8"))
    assert sorted(f.name for f in (folder / "figures").iterdir()) == [
        "fig99_test.csv",
        "fig99_test.png",
        "table9_test.csv",
    ]
    for name, about in record["figures"].items():
        for kind in ("png", "csv"):
            if about[kind]:
                assert store.sha256(folder / "figures" / f"{name}.{kind}") == about[kind]
    assert record["results"] == {"value": 0.5, "table": [{"arm": "c", "score": 0.25}], "nothing": None}
    assert record["figures"]["fig99_test"]["alt"] == "a line" and record["figures"]["fig99_test"]["publish"]
    assert not list((folder / ".staging").iterdir())
    assert [next(iter(data)) for data, _ in shown] == ["image/png", "text/html"]
    assert shown[0][1]["alt"] == "a line"


def test_the_same_figure_has_the_same_bytes(shown, tmp_path):
    digests = set()
    for _ in range(2):
        section = begin("x", preset="smoke")
        section.figure("fig99_test", _axes(), alt="a line")
        section.record()
        digests.add(store.sha256(tmp_path / "smoke" / "figures" / "fig99_test.png"))
    assert len(digests) == 1


def test_a_figure_without_alt_text_is_refused(shown):
    with pytest.raises(ValueError, match="alt text"):
        begin("x", preset="smoke").figure("fig99_test", _axes(), alt=" ")


def test_pictures_of_data_that_are_not_bundled_are_not_published(shown, monkeypatch):
    class Foreign:
        bundled = False

    section = begin("x", preset="smoke")
    monkeypatch.setattr(notebook, "split_of", lambda *_: Foreign)
    section.figure("fig98_pictures", _axes(), alt="pictures", images=True)
    section.figure("fig99_numbers", _axes(), alt="numbers")
    assert not section._figures["fig98_pictures"]["publish"] and section._figures["fig99_numbers"]["publish"]


def test_a_record_refuses_what_json_cannot_hold(shown):
    section = begin("x", preset="smoke")
    with pytest.raises(TypeError, match="Generator"):
        section.record(value=torch.Generator())


def _write(path, source: str, tags=("parameters",), cells=1):
    cell = {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "execution_count": None,
    }
    path.write_text(
        json.dumps({"cells": [cell] * cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )
    return path


def test_declared_parameters_are_read_from_the_tagged_cell(tmp_path):
    path = _write(tmp_path / "n.ipynb", 'preset: str = "quick"  # name\nalpha: float = 1.0\nfast: bool = False\n')
    allowed = parameters.declared(path)
    assert allowed == {"preset": (str, "quick"), "alpha": (float, 1.0), "fast": (bool, False)}
    assert parameters.check({"alpha": 2}, allowed, "n") == {"alpha": 2.0}
    with pytest.raises(SettingsError, match="'alpha'"):
        parameters.check({"alhpa": 1}, allowed, "n")
    with pytest.raises(SettingsError, match="fast"):
        parameters.check({"fast": "true"}, allowed, "n")


@pytest.mark.parametrize("cells", [0, 2])
def test_a_notebook_has_exactly_one_parameters_cell(tmp_path, cells):
    with pytest.raises(SettingsError, match="parameters"):
        parameters.declared(_write(tmp_path / "n.ipynb", "seed: int = 0", cells=cells))


def test_the_head_of_a_table_is_one_line_and_names_its_rows():
    table = pd.DataFrame({"arm": ["c", "adv"], "n<1": [1, 2], "x": [1234.5, 0.25]})
    head, body = notebook._html(table.set_index(["arm", "n<1"])).split("</thead>")
    assert head.count("<tr") == 1 and [*re.findall("<th>(.*?)</th>", head)] == ["arm", "n&lt;1", "x"]
    assert 'class="dataframe rows-2"' in head and "<td>1,234</td>" in body and "<td>0.250</td>" in body
    assert [*re.findall("<th>(.*?)</th>", notebook._html(table).split("</thead>")[0])] == ["arm", "n&lt;1", "x"]
    cells = notebook._html(pd.DataFrame({"a": ["+1.0 [-0.5, +2.5]", "3.0 !", "two\nlines"]}))
    assert "<td>two<br>lines</td>" in cells
    assert "<td>+1.0 [-0.5,&nbsp;+2.5]</td>" in cells and "<td>3.0&nbsp;!</td>" in cells
    wide = table.pivot(index="arm", columns="n<1", values=["x"])
    assert notebook._html(wide).split("</thead>")[0].count("<tr") == 3  # as pandas has it


def test_columns_of_words_are_named_for_the_page():
    table = pd.DataFrame(
        {"id": ["1"], "claim": ["5: a sentence that is longer than thirty characters"], "value": [1.0]}
    )
    assert notebook._prose(table) == ["prose-2"]
    assert notebook._prose(table.set_index("id")) == ["prose-2"]  # the index is a column of the page, too
    numbers = {"arm": ["c", "adv"], "signed": ["+1.0 [0.5, 1.5]", "–"], "mixed": ["none", "3 of 4"], "p": ["<1", "0"]}
    assert notebook._prose(pd.DataFrame(numbers)) == ["prose-1"]
    assert 'class="dataframe rows-0 many' in notebook._html(pd.DataFrame([range(11)]))
    assert notebook._prose(table[["value"]]) == []
