import numpy as np
import pytest
import torch

from semcont.datasets import draws, glyphs, sources
from semcont.datasets.glyphs import Layout


def layout(n: int = 300, seed: int = 0) -> Layout:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, 1797, n)
    return Layout.draw(sources.digits()[1][chosen], chosen, rng.integers(0, 2**32, (n, 3), dtype=np.uint32))


def test_sizes_and_places_are_those_promised():
    drawn = layout(5000)
    assert sorted({*drawn.sizes.tolist()}) == list(range(20, 29))
    for corner in (drawn.tops, drawn.lefts):
        assert {*(corner - (32 - drawn.sizes) // 2).tolist()} == {-2, -1, 0, 1, 2}
        assert corner.min() >= 0 and (corner + drawn.sizes).max() <= 32


def test_opacity_is_linear_interpolation_stretched():
    """Against torch's bilinear interpolation, in the inner cells, where borders play no part."""
    drawn = layout()
    opacity = glyphs.opacity(drawn)
    assert opacity.max() == glyphs.OPAQUE and opacity.min() == 0
    low, high = glyphs.INK
    for number in range(len(drawn.glyphs)):
        size, top, left = (int(part[number]) for part in (drawn.sizes, drawn.tops, drawn.lefts))
        ink = torch.tensor(sources.digits()[0][drawn.glyphs[number]], dtype=torch.float64)[None, None]
        inner = slice(size // 16 + 1, size - size // 16 - 1)
        expected = torch.nn.functional.interpolate(ink, size=(size, size), mode="bilinear")[0, 0, inner, inner]
        expected = ((expected - low) / (high - low)).clamp(0, 1) * glyphs.OPAQUE
        found = opacity[number, top : top + size, left : left + size][inner, inner].astype(float)
        assert np.abs(found - expected.numpy()).max() <= 1


@pytest.mark.parametrize(("cells", "size"), [(8, 20), (8, 27), (8, 28), (25, 32)])
def test_tent_weights_sum_to_one_inside(cells, size):
    weights = glyphs.tent(cells, size, 2, size + 4)
    assert weights.min() == 0 and weights.shape == (size + 4, cells)
    inside = slice(2 + size // (2 * cells) + 1, 2 + size - size // (2 * cells) - 1)
    assert (weights.sum(axis=1)[inside] == 2 * size).all()
    assert (weights == weights[::-1, ::-1]).all()


def test_blend_rounds_to_nearest_and_keeps_both_ends():
    levels = np.arange(256, dtype=np.uint8)
    behind = np.broadcast_to(levels[:, None, None, None], (256, 3, 1, 257)).copy()
    opacity = np.broadcast_to(np.arange(257, dtype=np.uint16), (256, 1, 257)).copy()
    tint = np.broadcast_to(np.array([0, 100, 255], dtype=np.uint8), (256, 3)).copy()
    found = glyphs.blend(behind, tint, opacity).astype(float)
    cover = opacity[:, None] / 256
    exact = behind * (1 - cover) + tint[:, :, None, None] * cover
    assert np.abs(found - exact).max() <= 0.5
    assert (found[..., 0] == behind[..., 0]).all() and (found[..., 256] == tint[:, :, None]).all()


def test_glyphs_of_a_class_are_all_used_before_one_returns():
    labels = draws.balanced(draws.stream(1, "labels"), 1000, 10)
    chosen = glyphs.choose(draws.stream(1, "glyphs"), labels, ("val",))
    for label in range(10):
        counts = np.unique(chosen[labels == label], return_counts=True)[1]
        assert counts.max() - counts.min() <= 1


def test_block_of():
    assert glyphs.block_of(np.array([0, 1099, 1100, 1399, 1400, 1796])).tolist() == [0, 0, 1, 1, 2, 2]


def test_occurrence():
    assert draws.occurrence(np.array([3, 5, 3, 3, 5])).tolist() == [0, 0, 1, 2, 1]


def test_below_is_uniform_and_reaches_both_ends():
    words = np.array([0, 2**31, 2**32 - 1], dtype=np.uint32)
    assert draws.below(words, 7).tolist() == [0, 3, 6]
    assert draws.below(words, np.array([1, 2, 225])).tolist() == [0, 1, 224]
    counts = np.bincount(draws.below(draws.words(draws.stream(0), 10000, 1)[:, 0], 10))
    assert len(counts) == 10 and counts.min() > 850


def test_streams_are_apart_and_the_same_everywhere():
    assert draws.words(draws.stream(0, "photodigits"), 1, 3).tolist() == [[2139256746, 2410654863, 154469254]]
    assert draws.stream(0, "a").integers(2**62) != draws.stream(0, "b").integers(2**62)
    assert draws.stream(0, "a").integers(2**62) != draws.stream(1, "a").integers(2**62)
