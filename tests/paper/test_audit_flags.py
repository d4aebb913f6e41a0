"""The audit's flags that no network of `test_audit` raises, on tables by hand: each beside one that hardly differs."""

import pandas as pd

from semcont.paper.audit import flags

IMAGES, RADIUS = 100, 8.0
NOBODY = pd.DataFrame([{"arm": "adv", "seed": 0, "share": 0.0}])


def attack(name, left, family="pgd", loss="ce", steps=10, restarts=1, eps=RADIUS, start=0) -> dict:
    """A row of an audit in which the images from `start` on survive, `left` of a hundred."""
    alive = [start <= image < start + left for image in range(IMAGES)]
    about = {"attack": name, "family": family, "loss": loss, "steps": steps, "restarts": restarts, "eps": eps}
    return {"arm": "adv", "seed": 0} | about | {"accuracy": left / IMAGES, "alive": alive}


def checks(*rows) -> pd.DataFrame:
    clean = attack("none", 90, steps=0, eps=0.0)
    return flags.flags(pd.DataFrame([clean, *rows]), NOBODY, NOBODY, RADIUS, 0.2).set_index("check")


def raised(*rows) -> list[str]:
    table = checks(*rows)
    return table.index[table["raised"]].tolist()


def test_more_steps_that_take_over_a_point_raise_a_flag():
    short, grid = attack("ce-10x1", 60), attack("margin-10x1", 60, loss="margin")
    assert raised(short, grid, attack("ce-50x1", 58, steps=50)) == ["broken by 50 steps beyond 10"]
    assert raised(short, grid, attack("ce-50x1", 60, steps=50)) == []
    row = checks(short, grid, attack("ce-50x1", 58, steps=50)).loc["broken by 50 steps beyond 10"]
    assert (round(row["value"], 9), row["limit"]) == (0.02, 0.01)


def test_a_point_is_not_over_a_point():
    assert raised(attack("ce-10x1", 60), attack("ce-50x1", 59, steps=50)) == []  # 0.6 - 0.59 > 0.01 in floating point


def test_an_attack_that_judges_its_last_step_is_not_compared_with_one_that_judges_all():
    table2, long = attack("pgd-10", 62), attack("ce-50x1", 59, steps=50)
    assert raised(table2, long) == []
    assert raised(table2, attack("ce-10x1", 60), long) == []
    assert raised(table2, attack("ce-10x1", 61), long) == ["broken by 50 steps beyond 10"]


def test_the_strongest_attack_is_that_on_the_images_that_all_attacked():
    """Of the ten images of the narrow attack the wide one leaves none, though of its own hundred it leaves more."""
    wide, narrow = attack("apgd-t", 90, start=10), attack("ce-10x1", 5)
    narrow |= {"alive": narrow["alive"][:10], "accuracy": 0.5}
    table = flags.worst_case(pd.DataFrame([narrow, wide]), RADIUS, {})
    assert table["strongest"].tolist() == ["apgd-t"] and table["n"].tolist() == [10]


def test_only_the_steps_that_help_are_named():
    rows = [attack(f"ce-{steps}x1", left, steps=steps) for steps, left in ((10, 60), (50, 60), (200, 55))]
    assert raised(*rows) == ["broken by 200 steps beyond 50"]


def test_what_another_loss_or_more_restarts_break_is_not_put_down_to_steps():
    short, long = attack("ce-10x1", 60), attack("ce-50x1", 60, steps=50)
    assert raised(short, long, attack("margin-50x1", 30, loss="margin", steps=50)) == []
    assert raised(short, long, attack("ce-50x10", 30, steps=50, restarts=10)) == []
    both = [attack(f"margin-{steps}x1", left, loss="margin", steps=steps) for steps, left in ((10, 60), (50, 30))]
    assert raised(short, long, *both) == ["broken by 50 steps beyond 10"]


def test_noise_that_breaks_as_much_as_pgd_raises_a_flag():
    noise = lambda left, kind="uniform", **at: attack(kind, left, "noise", "none", 0, 10, **at)  # noqa: E731
    name = "broken by noise (limit: by pgd-10)"
    assert raised(attack("pgd-10", 70), noise(70)) == [name]
    assert raised(attack("pgd-10", 70), noise(71)) == []
    row = checks(attack("pgd-10", 70), noise(70)).loc[name]
    assert (round(row["value"], 9), round(row["limit"], 9)) == (0.2, 0.2)
    # Two kinds that break ten images each, other images: twenty together.
    assert raised(attack("pgd-10", 70), noise(80), noise(80, "gaussian", start=10)) == [name]
    assert raised(attack("pgd-10", 70), noise(80), noise(80, "gaussian")) == []
