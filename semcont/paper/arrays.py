"""From tensors, on whatever device, to NumPy's arrays, which tables and intervals are made of."""

import numpy as np
from torch import Tensor

from ..datasets import ImageSet


def numpy_of(tensor: Tensor | None) -> np.ndarray | None:
    """The same values as an array; None for None."""
    return None if tensor is None else tensor.cpu().numpy()


def groups_of(images: ImageSet) -> np.ndarray | None:
    """What a bootstrap resamples, (n,): on PhotoDigits the glyphs, None where every image stands alone."""
    return numpy_of(images.groups)
