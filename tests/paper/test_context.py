"""Section 4.3 decided by context, on networks that go by the digit alone or by the photograph alone."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from semcont.paper import context, plots

CHANCE = 0.1


def _cues(**networks: tuple[float, float, float, float, float]) -> pd.DataFrame:
    """Standard, no cue, conflict, follows, background of each network; a name may end in its seed."""
    tests = [("standard", "accuracy"), ("no cue", "accuracy"), ("conflict", "accuracy"), ("conflict", "follows")]
    tests.append(("background", "accuracy"))
    rows = [
        {"arm": name.rstrip("012"), "seed": int(name[-1]), "test": test, "measure": measure, "value": value}
        | {"n": 100, "low": value - 0.02, "high": value + 0.02, "cue": 0.55}
        for name, values in networks.items()
        for (test, measure), value in zip(tests, values, strict=True)
    ]
    return pd.DataFrame(rows)


def _destroyed(**networks: float) -> dict[str, pd.DataFrame]:
    rows = [
        {"arm": name.rstrip("012"), "seed": int(name[-1]), "level": level, "measure": "retention", "value": value}
        for name, kept in networks.items()
        for level, value in ((1.0, 1.0), (4.0, kept))
    ]
    return {"tiles": pd.DataFrame(rows).assign(chance=CHANCE)}


DIGIT = (0.9, 0.9, 0.9, 0.01, 0.1)  # sees the digit alone
PHOTOGRAPH = (0.55, 0.1, 0.0, 0.99, 0.55)  # sees the photograph alone


def test_the_two_extremes():
    table = context.measures(_cues(base0=PHOTOGRAPH, c0=DIGIT), _destroyed(base0=0.5, c0=0.1))
    value = table.set_index(["arm", "measure"])["value"]
    assert [value["c", name] for name in context.MEASURES] == pytest.approx([1, 1, 0.01, 0, 0.1])
    assert [value["base", name] for name in context.MEASURES] == pytest.approx([0, -0.1 / 0.45, 0.99, 1, 0.5])


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"base0": 0.5, "c0": 0.1}, "it keeps less of destroyed images, which here agrees"),
        ({"base0": 0.1, "c0": 0.5}, "it keeps more of destroyed images, which here does **not** say the same"),
    ],
)
def test_the_papers_reading_is_held_against_the_context(kept, words):
    decided = context.differences(context.measures(_cues(base0=PHOTOGRAPH, c0=DIGIT), _destroyed(**kept)))
    text = context.conclusion(decided)
    assert "`c` against `base`: **more** by the digit (4 of 4 signs for, 0 against)" in text and words in text
    assert "Single run" in text
    swapped = context.differences(context.measures(_cues(base0=DIGIT, c0=PHOTOGRAPH), _destroyed(base0=0.5, c0=0.1)))
    assert "**less** by the digit" in context.conclusion(swapped) and "does **not**" in context.conclusion(swapped)


def test_the_ledger_reads_the_four_signs_by_their_side():
    signs = context.measures(_cues(base0=PHOTOGRAPH, c0=DIGIT), _destroyed(base0=0.5, c0=0.1))
    cues = _cues(base0=PHOTOGRAPH, c0=DIGIT)
    loss = cues[cues["test"] == "conflict"].drop_duplicates("arm").assign(measure="loss")
    found = context.evidence_of(pd.concat([cues, loss]), signs)
    kept, taken = (
        {(r["label"], r["case"]): r["value"] for r in found[f"context_{side}"]["rows"]} for side in ("kept", "taken")
    )
    assert kept["c", "kept without cue"] == pytest.approx(1) and kept["c", "kept in conflict"] == pytest.approx(1)
    assert taken["base", "follows the photograph"] == 0.99 and taken["c", "kept on background alone"] == 0
    assert len(kept) == len(taken) == 4
    lost = signs.assign(value=signs["value"].where(signs["arm"] == "c"))  # base no better than chance
    assert {r["label"] for r in context.evidence_of(pd.concat([cues, loss]), lost)["context_kept"]["rows"]} == {"c"}
    assert "absent" in context.evidence_of(pd.concat([cues, loss]), lost[lost["arm"] == "base"])["context_taken"]
    assert "absent" in context.evidence_of(pd.DataFrame(), pd.DataFrame())["context_kept"]


def test_signs_that_disagree_or_seeds_that_do_decide_nothing():
    mixed = (0.9, 0.9, 0.9, 1.0, 0.1)  # follows the photograph, though by all else it goes by the digit
    decided = context.differences(context.measures(_cues(base0=PHOTOGRAPH, c0=mixed), _destroyed(base0=0.5, c0=0.1)))
    assert "**undecided** (3 of 4 signs for, 1 against)" in context.conclusion(decided)
    cues = _cues(base0=PHOTOGRAPH, c0=DIGIT, base1=DIGIT, c1=PHOTOGRAPH)
    decided = context.differences(context.measures(cues, _destroyed(base0=0.5, c0=0.1, base1=0.1, c1=0.5)))
    text = context.conclusion(decided)
    assert "**undecided** (0 of 4" in text and "does not tell them apart" in text and "2 networks per arm" in text


def test_a_network_that_guesses_keeps_nothing_that_could_be_counted():
    guess = (0.1, 0.1, 0.1, 0.1, 0.1)
    decided = context.differences(context.measures(_cues(base0=guess, c0=DIGIT), _destroyed(base0=0.5, c0=0.1)))
    assert "no better than chance" in context.conclusion(decided)


def test_other_data_decide_nothing():
    assert context.measures(pd.DataFrame(), {}).empty
    assert "stays undecided" in context.conclusion(context.differences(pd.DataFrame()))
    assert "no network" in context.conclusion_strength(pd.DataFrame())


def test_figure_and_words_name_the_cues_strength():
    cues = _cues(base0=PHOTOGRAPH, c0=DIGIT)
    strength = pd.DataFrame([{"arm": "base", "seed": 0, "value": 0.5, "cue": 0.55}])
    axes = plots.context_tests(cues, strength).ravel()
    assert (
        len(axes) == 5 and axes[-1].lines[-1].get_xdata()[0] == 0.5 and axes[0].get_yticklabels()[1].get_text() == "C"
    )
    plt.close("all")
    assert "names the digit's class in 50.0 %" in context.conclusion_strength(strength)
    assert "follows the photograph: base 99 %, c 1 %" in context.describe(cues)


def test_dots_of_an_arms_seeds_lie_around_its_tick_however_many_others_have():
    cues = _cues(base0=PHOTOGRAPH, base1=PHOTOGRAPH, base2=PHOTOGRAPH, c0=DIGIT)
    first = plots.context_tests(cues).ravel()[0]
    dots = [float(y) for points in first.collections if len(points.get_offsets()) > 1 for _, y in points.get_offsets()]
    marks = [float(line.get_ydata()[0]) for line in first.lines if line.get_marker() not in ("", "None")]
    assert dots == pytest.approx([-0.2, 0, 0.2]) and marks == pytest.approx([0, 1]), "the mean, and the single run"
    plt.close("all")


def test_without_known_context_the_ledger_is_told_why():
    made = context.evidence_of(pd.DataFrame(), pd.DataFrame())
    assert {"conflict_loss", "background_accuracy", "context_kept", "context_taken"} == set(made)
    assert all("do not say what is object" in entry["absent"] for entry in made.values())
