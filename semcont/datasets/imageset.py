"""The form in which every data set of the project is held: whole, in memory, as bytes."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Labelled images on one device, with what is known about how they were made.

    Attributes
    ----------
    name : the name that `load` knows the set by.
    images : uint8 `(n, 3, h, w)`, red-green-blue.
    labels : int64 `(n,)`, indices into `classes`.
    classes : the names of the classes.
    masks : bool `(n, h, w)`, True on the labelled object; None where that is unknown.
    groups : int64 `(n,)`, what a bootstrap resamples: images with one value share their source, e.g. a glyph.
    context : int64 `(n,)`, an index of what is behind the object.
    bundled : whether pictures of single images may be published.

    Raises
    ------
    ValueError
        If a dtype, a shape, a length or a label does not fit.
    """

    name: str
    images: UInt8[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    masks: Bool[Tensor, "n h w"] | None = None
    groups: Int64[Tensor, " n"] | None = None
    context: Int64[Tensor, " n"] | None = None
    bundled: bool = True

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"{self.name}: images must be uint8 (n, 3, h, w), got {_kind(self.images)}")
        n, _, height, width = self.images.shape
        self._check("labels", torch.int64, (n,))
        self._check("masks", torch.bool, (n, height, width))
        self._check("groups", torch.int64, (n,))
        self._check("context", torch.int64, (n,))
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            low, high = int(self.labels.min()), int(self.labels.max())
            raise ValueError(f"{self.name}: labels must lie in 0..{len(self.classes) - 1}, got {low}..{high}")

    def _check(self, field: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        tensor = getattr(self, field)
        if tensor is None and field != "labels":
            return
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise ValueError(f"{self.name}: {field} must be {_kind(dtype, shape)}, got {_kind(tensor)}")

    @classmethod
    def from_arrays(
        cls, name: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], **known: np.ndarray
    ) -> "ImageSet":
        """A set of NumPy arrays, whose memory it shares; `known` are masks, groups, context."""
        known = {field: torch.from_numpy(array) for field, array in known.items()}
        return cls(name, torch.from_numpy(images), torch.from_numpy(labels), classes, **known)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return tuple(self.images.shape[1:])

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        known = [field for field in ("masks", "groups", "context") if getattr(self, field) is not None]
        parts = [self.name, f"{len(self)} images {size}", f"{len(self.classes)} classes", *known]
        return f"ImageSet({', '.join(parts)})"

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set with every tensor on `device`."""
        return self._map(lambda tensor: tensor.to(device))

    def select(self, index: Tensor | slice | Sequence[int]) -> "ImageSet":
        """The images at `index`: a slice, a list of positions, or a tensor of positions or of booleans."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.images.device)
            index = index if len(index) else index.long()  # an empty list becomes a float tensor
        return self._map(lambda tensor: tensor[index])

    def float(self, index: Tensor | slice | Sequence[int] | None = None) -> Float[Tensor, "n 3 h w"]:
        """All images, or those at `index`, as float32 in [0, 1]: bytes over 255."""
        images = self.images if index is None else self.select(index).images
        return images.to(torch.float32).div_(255)

    def batches(
        self, groups: Iterable[Tensor], *, seed: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "b 3 h w"], Int64[Tensor, " b"]]]:
        """Images, float32 in [0, 1], and labels for each tensor of positions in `groups`, in their order.

        `seed` is for sets that are streamed, whose pictures are cropped when they are decoded; here it changes nothing.
        """
        for rows in groups:
            rows = rows.to(self.labels.device)
            yield self.images[rows].to(torch.float32).div_(255), self.labels[rows]

    @property
    def device(self) -> torch.device:
        """Where the images are, and where `batches` gives them."""
        return self.images.device

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of images, labels and classes: equal for equal data on every machine and device."""
        digest = hashlib.sha256(json.dumps([list(self.images.shape), list(self.classes)]).encode())
        for array in (self.images.cpu().numpy(), self.labels.cpu().numpy().astype("<i8")):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _map(self, change: Callable[[Tensor], Tensor]) -> "ImageSet":
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{key: change(value) for key, value in tensors.items() if isinstance(value, Tensor)})


def _kind(tensor: Tensor | torch.dtype, shape: tuple[int, ...] | None = None) -> str:
    dtype, shape = (tensor, shape) if shape is not None else (tensor.dtype, tuple(tensor.shape))
    return f"{str(dtype).removeprefix('torch.')} {shape}"
