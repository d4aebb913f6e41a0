"""Which device, and how many threads: both change the last bits of a result, so both are said and recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .paths import UserError

_AUTO = "; 'auto' takes what there is"


def resolve(name: str = "auto") -> str:
    """ "auto" is the first CUDA device where there is one, else the CPU. Raises `UserError` for one that is absent."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError):
        here = "cpu" + (f", cuda ({torch.cuda.device_count()})" if torch.cuda.is_available() else "; no CUDA device")
        raise UserError(f"device {name!r} is not available here (available: {here}){_AUTO}") from None
    return str(device)


def of(preset, name: str | None = None) -> str:
    """The device to use: `name`, or, where that is None or "auto", what the preset asks for. Errors as in `resolve`."""
    if name not in (None, "auto"):
        return resolve(name)
    try:
        return resolve(preset.device)
    except UserError as error:
        told = str(error).removesuffix(_AUTO)  # which is the preset's word here
        raise UserError(f"preset {preset.name!r}: {told}; --device cpu (device=cpu) goes on without it") from None


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's and the linear algebra libraries' threads, restored afterwards."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
