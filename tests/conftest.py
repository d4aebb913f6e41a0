"""What all tests share: shapes checked at run time in the method, an empty store, one thread, a quiet hypothesis."""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import jaxtyping
import pytest
import torch

METHOD = (
    "_checks",
    "_draws",
    "attacks",
    "augmentation",
    "datasets",
    "distributed",
    "feed",
    "losses",
    "models",
    "perturbations",
    "recipe",
    "training",
)  # semcont.paper is left as it is
_CHECKER = (
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # an int may stand for a float, as in PEP 484
)

jaxtyping.install_import_hook([f"semcont.{module}" for module in METHOD], _CHECKER)
torch.set_num_threads(1)
hypothesis.settings.register_profile(
    "semcont", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("semcont")

_STORE = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # one store for all workers, which inherit the environment
    _STORE = tempfile.mkdtemp(prefix="semcont-runs-")
    os.environ["SEMCONT_RUNS"] = _STORE


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "unhooked: shapes are not checked at run time, so that the function's own check is what answers"
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if _STORE is not None:
        shutil.rmtree(_STORE, ignore_errors=True)


@pytest.fixture(autouse=True)
def _shapes_checked(request: pytest.FixtureRequest):
    """The hook looks at this switch at every call, so one test can do without it."""
    jaxtyping.config.update("jaxtyping_disable", request.node.get_closest_marker("unhooked") is not None)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _one_thread():
    """No test leaves torch more threads than it found, on which the last bits of all later ones would depend."""
    yield
    left = torch.get_num_threads()
    torch.set_num_threads(1)
    assert left == 1, f"torch is left with {left} threads"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def golden() -> Path:
    return Path(__file__).parent / "golden"
