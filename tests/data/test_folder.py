"""Folders of pictures as a data set."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastscratch.data import load


def save(path: Path, value: int = 0, size: tuple[int, int] = (6, 5), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in "LI" else (value, 10, 20)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "pets"
    for part, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("dog", "cat")):
            for k in range(count):
                save(top / part / name / f"{k}.png", 100 * label + k)
    return top


def test_classes_and_files_come_in_the_order_of_names(folder: Path) -> None:
    train, test = load(folder)
    assert train.classes == test.classes == ("cat", "dog")
    assert train.images.shape == (6, 5, 6, 3)  # 5 high, 6 wide
    assert train.images[:, 0, 0, 0].tolist() == [100, 101, 102, 0, 1, 2]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert train.name == "pets"
    assert load(str(folder))[0].fingerprint == train.fingerprint


def test_all_gray_is_gray_and_one_color_makes_rgb(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        save(file, 50, mode="L")
    train, test = load(folder)
    assert train.image_shape == (5, 6, 1)
    assert (train.images == 50).all()
    save(folder / "test" / "cat" / "0.png", 7)
    train, test = load(folder)
    assert train.image_shape == test.image_shape == (5, 6, 3)
    assert (train.images == 50).all()
    assert test.images[0, 0, 0].tolist() == [7, 10, 20]


def test_other_files_are_passed_over(folder: Path) -> None:
    (folder / "train" / "cat" / "notes.txt").write_text("hello")
    (folder / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (folder / "train" / "cat" / "deeper").mkdir()
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "README.md").write_text("hello")
    assert len(load(folder)[0]) == 6


def test_a_link_that_leads_nowhere_is_named(folder: Path) -> None:
    link = folder / "train" / "cat" / "zz.png"
    link.symlink_to(folder / "nowhere.png")
    with pytest.raises(OSError, match=r"zz\.png"):
        load(folder)


def test_formats_palettes_and_transparency(folder: Path) -> None:
    cat = folder / "train" / "cat"
    Image.new("RGB", (6, 5), (200, 0, 0)).save(cat / "a.JPEG", quality=95)
    Image.new("RGB", (6, 5), (0, 200, 0)).quantize(4).save(cat / "b.gif")
    Image.new("RGBA", (6, 5), (9, 9, 9, 0)).save(cat / "c.png")
    images = load(folder)[0].images[3:6]
    assert np.abs(images[0, 0, 0].astype(int) - [200, 0, 0]).max() <= 4
    assert images[1, 0, 0].tolist() == [0, 200, 0]
    assert (images[2] == 255).all()  # transparent: white


def test_camera_orientation_is_honored(folder: Path) -> None:
    picture = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture.save(folder / "train" / "cat" / "0.png", exif=exif)
    turned = load(folder)[0].images[0, :, :, 0]
    assert np.array_equal(turned, np.rot90(np.asarray(picture), -1))


def test_odd_size_is_named_with_both_sizes(folder: Path) -> None:
    odd = save(folder / "train" / "cat" / "0.png", size=(4, 3))  # the very first picture
    with pytest.raises(ValueError, match=f"9 of 10 are 6 x 5, but {odd} is 4 x 3$"):
        load(folder)
    save(folder / "test" / "dog" / "1.png", size=(4, 3))
    with pytest.raises(ValueError, match=f"8 of 10 are 6 x 5, but {odd} is 4 x 3 \\(one of 2\\)"):
        load(folder)


def test_classes_must_be_the_same(folder: Path) -> None:
    save(folder / "train" / "fox" / "0.png")
    save(folder / "test" / "owl" / "0.png")
    with pytest.raises(ValueError, match="same classes; only in train: fox; only in test: owl"):
        load(folder)


def test_empty_class_is_named(folder: Path) -> None:
    for file in (folder / "test" / "dog").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=f"{folder / 'test' / 'dog'} holds no pictures"):
        load(folder)


def test_missing_parts_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="lacks the folder 'train'"):
        load(folder / "train")
    (tmp_path / "bare" / "train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="lacks the folder 'test'; expected: test/<class>"):
        load(tmp_path / "bare")
    (tmp_path / "bare" / "test").mkdir()
    with pytest.raises(ValueError, match="holds no class folders"):
        load(tmp_path / "bare")


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG file that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not a picture"),
        (b"GIF89a", "cannot be read|not a picture"),
        (b"hello, I am a text", "not a picture"),
        (png_of_size(6, 5), "cannot be read"),
        (png_of_size(50_000, 50_000), "cannot be read: Image size"),
        (png_of_size(10_000, 10_000), "cannot be read: Image size"),
    ],
    ids=["empty", "head", "text", "hollow", "bomb", "small-bomb"],
)
def test_unreadable_picture_is_named(folder: Path, raw: bytes, words: str) -> None:
    path = folder / "train" / "dog" / "2.png"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=f"{path}.*({words})"):
        load(folder)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_truncated_picture_is_named(folder: Path, suffix: str, rng: np.random.Generator) -> None:
    path = folder / "train" / "dog" / f"9.{suffix}"
    Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 30, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            load(folder)


@pytest.mark.parametrize(("mode", "suffix"), [("I;16", "png"), ("F", "tiff")])
def test_deep_pictures_are_refused(folder: Path, mode: str, suffix: str) -> None:
    path = folder / "train" / "dog" / f"9.{suffix}"
    Image.new(mode, (6, 5)).save(path)
    with pytest.raises(ValueError, match=f"{path} has more than 8 bits a pixel"):
        load(folder)
