"""The MNIST that travels in the package is the original, byte for byte."""

import hashlib
import importlib.util
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downstroke.data import packed
from downstroke.data.dataset import Dataset
from downstroke.data.sources import load

SHA256 = {  # of the four original IDX files: design, decision 1
    "train images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pack_tool():
    spec = importlib.util.spec_from_file_location("pack_mnist", Path(__file__).parents[2] / "tools" / "pack_mnist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_packed_file_holds_the_four_original_files():
    for (name, expected), array in zip(SHA256.items(), packed.unpack(), strict=True):
        assert hashlib.sha256(idx_bytes(array)).hexdigest() == expected, name


def test_mnist_has_sixty_thousand_train_and_ten_thousand_test_images_of_ten_classes():
    data = load("mnist")
    assert (len(data.train), len(data.test), data.own_test, data.name) == (60_000, 10_000, True, "mnist")
    assert data.classes == tuple("0123456789")
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_packing_is_repeatable_and_undone_by_unpacking(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 28, 28), dtype=np.uint8) * (rng.random((30, 28, 28)) < 0.2)
    images, labels = images.astype(np.uint8), np.arange(30, dtype=np.uint8) % 10
    originals = {
        "train-images-idx3-ubyte": idx_bytes(images[:20]),
        "train-labels-idx1-ubyte": idx_bytes(labels[:20]),
        "t10k-images-idx3-ubyte": idx_bytes(images[20:]),
        "t10k-labels-idx1-ubyte": idx_bytes(labels[20:]),
    }
    tool = pack_tool()
    tool.write_packed(originals, tmp_path / "a.npz")
    tool.write_packed(originals, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    expected = (images[:20], labels[:20], images[20:], labels[20:])
    for actual, original in zip(packed.unpack(tmp_path / "a.npz"), expected, strict=True):
        np.testing.assert_array_equal(actual, original)


def test_the_packing_script_refuses_files_that_are_not_the_originals(tmp_path):
    for name in pack_tool().SHA256:
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"train-images-idx3-ubyte has SHA-256 .*; expected ba891046"):
        pack_tool().read_originals(tmp_path)


def test_importing_the_data_room_loads_neither_torch_nor_a_picture_library():
    code = (
        "import sys, downstroke.data.dataset, downstroke.data.sources, downstroke.data.batches;"
        "print([m for m in ('torch', 'cv2', 'PIL', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_known_fingerprint_is_what_is_computed(mnist: Dataset) -> None:
    assert mnist.fingerprint() == packed.FINGERPRINT == replace(mnist, known=None).fingerprint()
