"""Pictures of every size and kind become images that a network takes."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from fastscratch.pictures import read_picture


def save(tmp_path, levels, name="picture.png", mode=None, **options):
    picture = Image.fromarray(np.asarray(levels))
    (picture.convert(mode) if mode else picture).save(tmp_path / name, **options)
    return tmp_path / name


def test_a_picture_of_the_right_size_is_left_alone(tmp_path, rng):
    levels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(save(tmp_path, levels), (24, 20, 3)), levels)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_the_middle_is_taken(tmp_path, shape):
    levels = np.zeros((*shape, 3), np.uint8)
    levels[shape[0] // 2 - 4 : shape[0] // 2 + 4, shape[1] // 2 - 4 : shape[1] // 2 + 4] = 200
    np.testing.assert_array_equal(read_picture(save(tmp_path, levels), (8, 8, 3)), 200)


def test_scaling_down_averages(tmp_path):
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = read_picture(save(tmp_path, checkers), (8, 8, 1))
    assert small.shape == (8, 8, 1)
    assert np.all(np.abs(small.astype(int) - 127) < 12)  # plain sampling would give 0 or 255


def test_scaling_up_and_odd_sizes(tmp_path, rng):
    for shape in ((1, 1), (3, 50), (97, 31)):
        path = save(tmp_path, rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        assert read_picture(path, (32, 32, 3)).shape == (32, 32, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode(tmp_path, mode, channels):
    levels = np.zeros((16, 16, 3), np.uint8)
    levels[:8] = 255
    # Not raw: of YCbCr, Pillow before 13 writes raw files that it cannot read.
    name, how = ("picture.tif", {"compression": "tiff_lzw"}) if mode in ("CMYK", "YCbCr") else ("picture.png", {})
    save(tmp_path, levels, name, mode, **how)
    image = read_picture(tmp_path / name, (16, 16, channels)).astype(int)
    assert image.shape == (16, 16, channels)
    assert image[:8].min() > 250
    assert image[8:].max() < 5


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        (np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16), "deep.png"),
        (np.linspace(0, 65535, 256).reshape(16, 16).astype(np.int32), "deep.tif"),
        (np.linspace(0, 1, 256).reshape(16, 16).astype(np.float32), "float.tif"),
    ],
)
def test_deep_levels_are_scaled_not_cut(tmp_path, levels, name):
    image = read_picture(save(tmp_path, levels, name), (16, 16, 1))
    np.testing.assert_allclose(image.ravel(), np.arange(256), atol=1)


def test_a_dark_deep_picture_stays_dark(tmp_path):
    path = save(tmp_path, np.full((8, 8), 200, np.uint16))  # of 65,535
    assert read_picture(path, (8, 8, 1)).max() == 1


def test_transparent_parts_become_white(tmp_path):
    levels = np.zeros((8, 8, 4), np.uint8)
    levels[4:, :, 3] = 255
    image = read_picture(save(tmp_path, levels), (8, 8, 3))
    assert image[:4].min() == 255
    assert image[4:].max() == 0


@pytest.mark.parametrize("tag", [0x0100, 0x011A, 0x0128])
@pytest.mark.parametrize("kind", [1, 2, 11], ids=["bytes", "text", "float"])
def test_a_damaged_tag_beside_the_cameras_turn_does_no_harm(tmp_path, tag, kind):
    levels = np.zeros((8, 8, 3), np.uint8)
    levels[:, :4] = 255
    entries = sorted([(0x0112, 3, 1, 6), (tag, kind, 1, 0x41)])  # tag, type, count, value
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd + bytes(4)
    upright = read_picture(save(tmp_path, levels, name="picture.jpg", exif=exif, quality=95), (8, 8, 3))
    assert upright[:4].min() > 200
    assert upright[4:].max() < 50


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_turn_is_pillows(tmp_path, rng, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), exif=exif)
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_picture(path, (8, 8, 3)), expected)


def test_the_cameras_turn_is_undone(tmp_path):
    levels = np.zeros((8, 8, 3), np.uint8)
    levels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise by a quarter
    image = read_picture(save(tmp_path, levels, exif=exif), (8, 8, 3))
    assert image[:4].min() == 255
    assert image[4:].max() == 0
