"""A digit of any size, in either polarity, becomes what MNIST would have made of it."""

import numpy as np
import pytest

from downstroke.data.sources import load
from downstroke.errors import PictureError
from downstroke.glyphs.glyph import cut, glyph
from downstroke.glyphs.ink import separations


@pytest.fixture(scope="module")
def digits():
    return load("mnist").test.images[:400]


def resized(image, size):
    import cv2

    return cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)


def difference(image, expected):
    return np.abs(image.astype(int) - expected).mean()


# MNIST itself

CHANGES = {
    "nothing": lambda image: image,
    "ink low": lambda image: 255 - image,
    "moved": lambda image: np.roll(np.pad(image, 4), (3, -2), axis=(0, 1)),
    "in a corner of a larger picture": lambda image: np.pad(image, ((40, 3), (7, 90))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_glyph_of_mnist_is_nearly_that_image_again(digits, change):
    glyphs = [glyph(CHANGES[change](image)) for image in digits]
    differences = np.array([difference(*pair) for pair in zip(glyphs, digits, strict=True)])
    identical = np.mean(differences == 0)
    assert np.median(np.abs(np.array(glyphs).astype(int) - digits)) == 0
    assert identical >= 0.98, identical
    assert differences.mean() < 0.05, differences.mean()  # of 255


def test_a_glyph_of_a_glyph_is_the_same_glyph(digits):
    for image in digits[:50]:
        once = glyph(resized(255 - image, 97))
        assert difference(glyph(once), once) < 0.5


# Size, place, polarity


@pytest.mark.parametrize("size", [5, 9, 20, 28, 64, 333, 4000])
@pytest.mark.parametrize("polarity", ["ink-high", "ink-low"])
def test_a_stroke_of_any_size_and_polarity_is_20_long_with_its_centre_of_mass_in_the_middle(size, polarity):
    image = np.zeros((size, size), np.uint8)
    image[size // 5 : size - size // 5, size // 2 - max(1, size // 20) : size // 2 + max(1, size // 20)] = 230
    made = glyph(255 - image if polarity == "ink-low" else image)
    assert (made.shape, made.dtype) == ((28, 28), np.uint8)
    rows = np.flatnonzero(made.any(axis=1))
    assert np.ptp(rows) + 1 in (19, 20)
    assert made.max() >= 230
    assert made[0].max() == made[:, 0].max() == 0
    for axis in (0, 1):
        profile = made.sum(axis=axis, dtype=float)
        assert abs(profile @ np.arange(28) / profile.sum() - 14) <= 0.5


def test_a_glyph_is_cut_with_the_box_it_was_found_in():
    image = np.full((300, 200), 240, np.uint8)
    image[50:250, 100:150] = 20
    found = cut(image)
    assert np.abs(np.subtract(found.box, (100, 50, 50, 200))).max() <= 3
    np.testing.assert_array_equal(found.glyph, glyph(image))


def test_the_aspect_is_kept():
    image = np.zeros((300, 300), np.uint8)
    image[50:250, 100:150] = 255
    made = glyph(image)
    assert np.ptp(np.flatnonzero(made.any(1))) + 1 == 20
    assert np.ptp(np.flatnonzero(made.any(0))) + 1 in (4, 5)  # a bar of a quarter: a very broad stroke, thinned


def test_an_enlarged_digit_comes_back_nearly_as_it_was(digits):
    mean = np.mean([difference(glyph(resized(255 - image, 280)), image) for image in digits[:100]])
    one_pixel_off = np.mean([difference(np.roll(image, 1, axis=1), image) for image in digits[:100]])
    assert mean < one_pixel_off / 2


def test_a_given_polarity_holds_where_ink_fills_the_border():
    ring = np.full((12, 8), 250, np.uint8)
    ring[3:9, 3:5] = 10  # a tight crop of a 0: all of its border is ink
    made = glyph(ring, polarity="ink-high")
    assert made[14, 14] < 60
    np.testing.assert_array_equal(glyph(255 - ring, polarity="ink-low"), made)


# Noise, specks, paper


def test_grey_paper_and_faint_ink_are_stretched(digits):
    faint = (200 - digits[0] * (60 / 255)).astype(np.uint8)
    assert difference(glyph(faint), digits[0]) < 5


def test_noise_does_not_decide_the_size(digits):
    rng = np.random.default_rng(0)
    differences = []
    for image in digits[:30]:
        clean = 210 - resized(image, 280) * 0.7
        noisy = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
        differences.append(difference(glyph(noisy), glyph(clean.astype(np.uint8))))
    assert np.mean(differences) < 6


def test_a_speck_does_not_decide_the_size(digits):
    speckled = np.pad(digits[0], 30)
    speckled[2, 2] = speckled[80, 60] = 255
    np.testing.assert_array_equal(glyph(speckled), digits[0])


def test_a_picture_of_one_speck_is_blank():
    with pytest.raises(PictureError, match="no stroke among them"):
        glyph(np.pad(np.full((1, 1), 255, np.uint8), 50))


def test_two_strokes_that_do_not_touch_are_both_kept():
    image = np.full((100, 100), 255, np.uint8)
    image[20:80, 30:38] = 0
    image[20:50, 60:68] = 0
    made = glyph(image)
    assert made[:, :14].any()
    assert made[:, 15:].any()


def test_paper_is_exactly_zero_and_ink_at_most_one(digits):
    rng = np.random.default_rng(0)
    page = np.clip(180 - np.pad(digits[0], 40) * 0.5 + rng.normal(0, 3, (108, 108)), 0, 255).astype(np.uint8)
    ink = next(separations(page)).density
    assert ink.dtype == np.float32
    assert ink.shape == page.shape
    assert (ink[:30] == 0).all()
    assert 0.9 < ink.max() <= 3


NOTHING = {
    "white": np.full((28, 28), 255, np.uint8),
    "black": np.zeros((300, 200), np.uint8),
    "one pixel": np.full((1, 1), 9, np.uint8),
    "noise": np.random.default_rng(0).normal(128, 15, (200, 200)).astype(np.uint8),
    "weak noise": np.random.default_rng(0).integers(250, 256, (90, 90)).astype(np.uint8),
    "empty": np.zeros((0, 5), np.uint8),
}


@pytest.mark.parametrize("polarity", ["auto", "ink-high", "ink-low"])
@pytest.mark.parametrize("name", NOTHING)
def test_a_blank_picture_is_refused_in_one_line(name, polarity):
    with pytest.raises(PictureError, match="is blank") as caught:
        glyph(NOTHING[name], polarity)
    assert "\n" not in str(caught.value)
