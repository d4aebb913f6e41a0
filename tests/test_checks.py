"""Bad input: every public function says what came, in a `ValueError`, before it computes anything."""

import jaxtyping
import pytest
import torch

import semcont
from semcont import attacks, losses, perturbations, training
from semcont._checks import check_choice, check_images, check_labels, per_image

pytestmark = pytest.mark.unhooked

GOOD = torch.full((2, 3, 4, 4), 0.5)
LABELS = torch.tensor([0, 1])
NETWORK = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
ATTACK = {"eps": 0.1, "step_size": 0.05, "steps": 1}


def _with(value: float) -> torch.Tensor:
    x = GOOD.clone()
    x[1, 2, 3, 0] = value
    return x


BAD_IMAGES = {
    "above": (_with(1.01), r"must lie in \[0, 1\]; these span \[0.5, 1.01\]"),
    "below": (_with(-0.01), r"must lie in \[0, 1\]; these span \[-0.01, 0.5\]"),
    "uint8": (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "floating point in .* not torch.uint8; divide"),
    "int64": (torch.zeros(2, 3, 4, 4, dtype=torch.int64), "floating point in .* not torch.int64"),
    "bool": (torch.zeros(2, 3, 4, 4, dtype=torch.bool), "not torch.bool"),
    "rank": (torch.zeros(3, 4, 4), r"shape \(n, 3, h, w\), not \(3, 4, 4\)"),
    "channels": (torch.zeros(2, 1, 4, 4), r"not \(2, 1, 4, 4\)"),
    "channels last": (torch.zeros(2, 4, 4, 3), r"not \(2, 4, 4, 3\)"),
    "NaN": (_with(float("nan")), "NaN"),
    "inf": (_with(float("inf")), "infinite"),
    "-inf": (_with(float("-inf")), "infinite"),
    "empty": (torch.zeros(0, 3, 4, 4), r"empty: shape \(0, 3, 4, 4\)"),
    "no pixels": (torch.zeros(2, 3, 0, 4), "empty"),
    "list": ([[0.5]], "torch tensor, not list"),
    "array": (GOOD.numpy(), "torch tensor, not ndarray"),
}
TAKES_IMAGES = {
    "brightness": lambda x: semcont.brightness(x, 16),
    "contrast": lambda x: semcont.contrast(x, 1.5),
    "saturation": lambda x: semcont.saturation(x, 1.5),
    "hue": lambda x: semcont.hue(x, 0.1),
    "perturb": lambda x: perturbations.perturb(x, "hue", 1),
    "RandomPhotometric": semcont.RandomPhotometric(),
    "GaussianNoise": semcont.GaussianNoise(),
    "translate_rgb": lambda x: semcont.translate_rgb(x, 1),
    "shuffle_center": lambda x: semcont.shuffle_center(x, 0.5),
    "shuffle_tiles": lambda x: semcont.shuffle_tiles(x, 2),
    "pgd": lambda x: semcont.pgd(NETWORK, x, LABELS, **ATTACK),
    "survivors": lambda x: semcont.survivors(NETWORK, x, LABELS, **ATTACK),
    "robust_accuracy": lambda x: semcont.robust_accuracy(NETWORK, x, LABELS, **ATTACK),
    "eps_curve": lambda x: semcont.eps_curve(NETWORK, x, LABELS, eps=[0.1]),
}


@pytest.mark.parametrize("images", BAD_IMAGES)
@pytest.mark.parametrize("function", TAKES_IMAGES)
def test_images_that_are_not_images(function, images):
    x, message = BAD_IMAGES[images]
    with pytest.raises(ValueError, match=message):
        TAKES_IMAGES[function](x)


@pytest.mark.parametrize("function", TAKES_IMAGES)
def test_good_images_pass_and_stay_as_they_are(function):
    x = _with(1.0)
    before = x.clone()
    TAKES_IMAGES[function](x)
    assert torch.equal(x, before)


def test_the_borders_of_the_box_belong_to_it():
    check_images(torch.tensor([0.0, 1.0, 0.5]).view(1, 3, 1, 1))
    check_images(torch.full((1, 3, 1, 1), -7.0), bounds=None)
    check_images(torch.full((1, 3, 1, 1), -1.0), bounds=(-1, 1))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        check_images(torch.full((1, 3, 1, 1), -1.5), bounds=(-1, 1))
    with pytest.raises(ValueError, match="NaN"):
        check_images(torch.full((1, 3, 1, 1), float("nan")), bounds=None)


BAD_LABELS = {
    "too few": (torch.tensor([0]), "2 images but 1 labels"),
    "float": (torch.tensor([0.0, 1.0]), r"integer tensor of shape \(2,\), not torch.float32"),
    "bool": (torch.tensor([True, False]), "not torch.bool"),
    "one-hot": (torch.eye(3, dtype=torch.int64)[:2], r"of shape \(2, 3\)"),
    "list": ([0, 1], "not list"),
    "negative": (torch.tensor([0, -1]), "these span -1..0"),
    "too large": (torch.tensor([0, 3]), r"labels must lie in 0..2; the largest is 3"),
}


@pytest.mark.parametrize("labels", BAD_LABELS)
@pytest.mark.parametrize("function", ["pgd", "survivors", "robust_accuracy"])
@pytest.mark.parametrize("loss", ["ce", "margin", "dlr", "kl"])
def test_labels_that_are_not_labels(function, loss, labels):
    y, message = BAD_LABELS[labels]
    with pytest.raises(ValueError, match=message):
        getattr(semcont, function)(NETWORK, GOOD, y, **ATTACK, loss=loss)


@pytest.mark.parametrize("function", ["pgd", "survivors"])
def test_labels_too_large_are_refused_even_where_no_step_is_taken(function):
    with pytest.raises(ValueError, match="labels must lie in 0..2"):
        getattr(semcont, function)(NETWORK, GOOD, torch.tensor([0, 3]), eps=0.1, step_size=0.1, steps=0, restarts=2)


def test_check_labels_with_a_known_number_of_classes():
    check_labels(torch.tensor([0, 2]), 2, classes=3)
    with pytest.raises(ValueError, match=r"0..2; these span 0..3"):
        check_labels(torch.tensor([0, 3]), 2, classes=3)


BAD_ATTACKS = {
    "eps": ({"eps": -0.1}, "eps must not be negative or NaN, not -0.1"),
    "eps NaN": ({"eps": float("nan")}, "eps must not be negative or NaN, not nan"),
    "eps tensor": ({"eps": torch.tensor([0.1, -0.1, 0.1]).view(3, 1, 1)}, "eps must not be negative"),
    "eps text": ({"eps": "8/255"}, "eps must be a number or a tensor, not '8/255'"),
    "step_size": ({"step_size": -1.0}, "step_size must not be negative"),
    "steps": ({"steps": -1}, "steps must be an integer of at least 0, not -1"),
    "steps fraction": ({"steps": 2.5}, "steps must be an integer of at least 0, not 2.5"),
    "steps bool": ({"steps": True}, "steps must be an integer of at least 0, not True"),
    "restarts": ({"restarts": 0}, "restarts must be an integer of at least 1, not 0"),
    "norm": ({"norm": "linfty"}, "unknown norm 'linfty'; did you mean 'linf'"),
    "loss": ({"loss": "mergin"}, "unknown loss 'mergin'; did you mean 'margin'"),
    "l2 tensor": ({"eps": torch.full((2, 1, 1, 1), 0.1), "norm": "l2"}, "eps must be a number for the L2 norm"),
}


@pytest.mark.parametrize("bad", BAD_ATTACKS)
@pytest.mark.parametrize("function", ["pgd", "survivors"])
@pytest.mark.parametrize("criterion", ["final", "any"])
def test_attacks_that_are_not_attacks(function, criterion, bad):
    """Above all `survivors`: an attack that never ran would leave every image standing."""
    settings, message = BAD_ATTACKS[bad]
    extra = {"criterion": criterion} if function == "survivors" else {}
    with pytest.raises(ValueError, match=message):
        getattr(semcont, function)(NETWORK, GOOD, LABELS, **ATTACK | settings | extra)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": -4}, "batch_size"),
        ({"criterion": "all"}, "unknown criterion 'all'"),
        ({"seed": -1}, "seed"),
        ({"first": -1}, "first"),
    ],
)
def test_survivors_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        semcont.survivors(NETWORK, GOOD, LABELS, **ATTACK, **settings)


BAD_STRENGTHS = {
    "wrong length": (torch.ones(3), r"must be a number or have shape \(2,\), not \(3,\)"),
    "column": (torch.ones(2, 1), r"not \(2, 1\)"),
    "text": ("1.5", "must be a number or a tensor, not str"),
    "bool": (True, "not bool"),
    "NaN": (float("nan"), "finite"),
    "inf": (float("inf"), "finite"),
    "NaN tensor": (torch.tensor([1.0, float("nan")]), "finite"),
}


@pytest.mark.parametrize("strength", BAD_STRENGTHS)
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_strengths_that_are_not_strengths(name, strength):
    value, message = BAD_STRENGTHS[strength]
    with pytest.raises(ValueError, match=message):
        getattr(semcont, name)(GOOD, value)


@pytest.mark.parametrize("name", ["contrast", "saturation"])
@pytest.mark.parametrize("factor", [-0.5, torch.tensor([1.0, -0.5])])
def test_negative_factors(name, factor):
    with pytest.raises(ValueError, match="factor must not be negative; the smallest is -0.5"):
        getattr(semcont, name)(GOOD, factor)


def test_integer_strengths_are_numbers():
    assert torch.equal(
        semcont.brightness(GOOD, torch.tensor([16, 32])), semcont.brightness(GOOD, torch.tensor([16.0, 32.0]))
    )
    assert per_image(2, GOOD, "factor") == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: semcont.RandomPhotometric(0),
        lambda: semcont.RandomPhotometric(5),
        lambda: semcont.RandomPhotometric(True),
        lambda: semcont.RandomPhotometric(1.5),
        lambda: semcont.GaussianNoise(-0.1),
        lambda: semcont.GaussianNoise(float("nan")),
        lambda: perturbations.perturb(GOOD, "brightnes", 1),
        lambda: perturbations.perturb(GOOD, "hue", 5),
        lambda: perturbations.perturb(GOOD, "hue", 1, sign=0),
        lambda: semcont.translate_rgb(GOOD, -1),
        lambda: semcont.translate_rgb(GOOD, 0.5),
        lambda: semcont.translate_rgb(GOOD, True),
        lambda: semcont.translate_rgb(GOOD, torch.tensor([1.0, 2.0])),
        lambda: semcont.translate_rgb(GOOD, torch.tensor([1])),
        lambda: semcont.translate_rgb(GOOD, torch.tensor([1, -1])),
        lambda: semcont.shuffle_center(GOOD, -0.1),
        lambda: semcont.shuffle_center(GOOD, 1.1),
        lambda: semcont.shuffle_center(GOOD, float("nan")),
        lambda: semcont.shuffle_center(GOOD, "half"),
        lambda: semcont.shuffle_tiles(GOOD, 3),
        lambda: semcont.shuffle_tiles(GOOD, 0),
        lambda: semcont.shuffle_tiles(GOOD, 2.0),
        lambda: semcont.shuffle_tiles(GOOD[..., :2, :], 4),
        lambda: semcont.build("resnet81", classes=3),
        lambda: semcont.build("resnet18", classes=1),
        lambda: semcont.build("resnet18", classes=2.0),
        lambda: semcont.build("resnet18", classes=3, width=0),
        lambda: semcont.build("resnet18", classes=3, stem="cifer"),
        lambda: semcont.build("resnet18", classes=3, norm="layer"),
        lambda: semcont.Objective("bse"),
        lambda: semcont.Objective("c", alpha=-1),
        lambda: semcont.Objective("c", alpha=float("nan")),
        lambda: semcont.Objective("adv"),
        lambda: semcont.Objective("trades", beta=-1, attack=ATTACK),
        lambda: semcont.Objective("c", reduction="max"),
        lambda: semcont.Objective("c", level=9),
        lambda: semcont.ContinuityLoss(None, -1.0),
        lambda: semcont.ContinuityLoss(None, distance="l1"),
        lambda: semcont.ContinuityLoss(None)(NETWORK, GOOD),
        lambda: losses.plain_arm("b"),
        lambda: attacks.PGD(0.1, 0.1, 1, loss="celoss"),
        lambda: training.Recipe(optimizer="sdg"),
        lambda: training.Recipe(schedule="linear"),
        lambda: training.Recipe(lr=0.0),
        lambda: training.Recipe(momentum=1.0),
        lambda: training.Recipe(weight_decay=-1.0),
        lambda: training.Recipe(warmup=0.0),
        lambda: training.Recipe(epochs=-1),
        lambda: training.Recipe(batch_size=1),
        lambda: training.Recipe(lr=float("nan")),
    ],
)
def test_other_settings(call):
    with pytest.raises(ValueError, match=r"."):
        call()


def test_a_mistyped_choice_gets_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"unknown stem 'cifar-strid2'; did you mean 'cifar-stride2'\? \(one of cifar, cifar-stride2\)"
    ):
        check_choice("cifar-strid2", ("cifar", "cifar-stride2"), "stem")
    with pytest.raises(ValueError, match="did you mean 'resnet18'"):
        semcont.build("resnet-18", classes=3)


def test_a_set_that_does_not_fit_the_network():
    data = semcont.ImageSet("t", torch.zeros(4, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 2, 3]), tuple("abcd"))
    with pytest.raises(ValueError, match="labels must lie in 0..2; the largest is 3"):
        semcont.fit(NETWORK, data, semcont.Objective("base"), training.Recipe(epochs=1), seed=0)


@pytest.mark.filterwarnings("error")
def test_elsewhere_the_hook_answers_first():
    jaxtyping.config.update("jaxtyping_disable", False)
    with pytest.raises(jaxtyping.TypeCheckError):
        semcont.brightness(torch.zeros(2, 1, 4, 4), 16)
