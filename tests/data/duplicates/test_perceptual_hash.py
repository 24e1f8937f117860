import numpy as np
import pytest
from picture_samples import picture

from medzoo.data.duplicates.hamming import near_pairs
from medzoo.data.duplicates.perceptual_hash import BITS, hash_image, pixel_hash, thumb_distance
from medzoo.data.images.pixels import Pixels

RNG = np.random.default_rng(0)


def grey(array, top=255.0):
    return Pixels(array, (0.0, top), "grey")


def distance(one, other):
    """The smallest folded distance of two images' hashes, mirrored ones too."""
    best = BITS
    for codes in (one.codes, one.mirrored):
        for code in codes:
            bits = np.bitwise_count(code[None] ^ other.codes).sum(axis=1)
            best = min(best, int(np.minimum(bits, BITS - bits).min()))
    return best


def test_equal_pixels_have_one_hash_in_whatever_form():
    array = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
    same = [
        grey(array), grey(array.astype(np.uint16) * 257, 65535.0), Pixels(np.stack([array] * 3, 2), (0.0, 255.0), "rgb"),
        Pixels(array.astype(np.float32), (0.0, 255.0), "grey"), grey(np.asfortranarray(array)),
    ]  # fmt: skip
    assert len({pixel_hash(pixels) for pixels in same}) == 1
    others = [grey(array.T), grey(255 - array), grey(array.reshape(7, 9)), grey(array.astype(np.uint16), 65535.0)]
    assert len({pixel_hash(pixels) for pixels in [same[0], *others]}) == 5


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:, ::-1], lambda a: 255 - a, lambda a: np.rint(255 * (a / 255) ** 1.7).astype(np.uint8),
        lambda a: a[::2, ::2], lambda a: np.kron(a, np.ones((2, 3), np.uint8)), lambda a: np.pad(a, 20),
        lambda a: a[4:-4, 4:-4], lambda a: a.astype(np.uint16) * 16, lambda a: np.stack([a] * 3, 2),
        lambda a: 255 - a[::2, ::-2],
    ],
)  # fmt: skip
def test_copies_are_near_and_others_far(change):
    array = picture()
    copy = hash_image(grey(np.ascontiguousarray(change(array)), 65535.0 if change(array).dtype == np.uint16 else 255.0))
    assert distance(hash_image(grey(array)), copy) <= 16
    assert distance(hash_image(grey(picture(seed=1))), copy) > 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2), (28, 28), (700, 300), (64, 64, 3), (5, 40, 30)])
def test_any_shape_has_a_hash(shape):
    for array in (np.zeros(shape, np.uint8), RNG.integers(0, 256, shape, dtype=np.uint8)):
        found = hash_image(Pixels(array, (0.0, 255.0), "rgb" if shape[-1] == 3 else "grey"))
        assert found.codes.shape == found.mirrored.shape == (len(found.thumbs), 32) and len(found.codes) in (3, 4)


def test_small_images_confirm():
    one, other = (hash_image(grey(picture(seed=seed))).thumbs[:1] for seed in (0, 1))
    brighter = np.minimum(one.astype(int) + 20, 255).astype(np.uint8)
    assert thumb_distance(one, brighter)[0] < 10 and thumb_distance(one, other)[0] > 60
    assert thumb_distance(one, one)[0] == 0 == thumb_distance(np.zeros_like(one), np.zeros_like(one))[0]


@pytest.mark.parametrize("tile", [7, 64])
def test_near_pairs_are_those_of_counting(monkeypatch, tile):
    monkeypatch.setattr("medzoo.data.duplicates.hamming.TILE", tile)
    codes = RNG.integers(0, 256, (40, 32), dtype=np.uint8)
    for row in range(20):  # copies with some bits changed, and complements
        codes[row + 20] = codes[row] if row % 2 else ~codes[row]
        codes[row + 20, : row // 4] ^= 0xF0
    bits = np.bitwise_count(codes[:, None] ^ codes[None]).sum(axis=2).astype(int)
    for other, triangle in ((None, False), (codes, False), (codes, True)):
        found = {}
        for one, two, distances in near_pairs(codes, other, 16, triangle=triangle, device="cpu"):
            found |= dict(zip(zip(one.tolist(), two.tolist(), strict=True), distances.tolist(), strict=True))
        wanted = {
            (i, j): bits[i, j]
            for i in range(40)
            for j in range(40)
            if min(bits[i, j], BITS - bits[i, j]) <= 16 and (j > i or not (triangle or other is None))
        }
        assert found == wanted
