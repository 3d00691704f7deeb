"""Every form of data becomes the same images and labels; every bad input is one line that names what is wrong."""

import gzip
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

import downstroke
from downstroke.data import tables, upright
from downstroke.data.sources import load
from downstroke.data.unlabelled import load_images
from downstroke.errors import DataError, RunError
from downstroke.recipe import Recipe
from downstroke.runs.inside import Inside
from downstroke.runs.parts import Parts


def digits(n=30, size=28, classes=3):
    """`n` images of bars, ink high, one class per slope, and their labels."""
    images = np.zeros((n, size, size), np.uint8)
    labels = np.arange(n) % classes
    for index, label in enumerate(labels):
        for row in range(size // 4, size - size // 4):
            column = size // 2 + (label - 1) * (row - size // 2) // 2
            images[index, row, column - max(1, size // 14) : column + 1 + index % 2] = 255
    return images, labels


def idx_bytes(array):
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def write_idx(folder, prefix="", train=None, test=None, pack=lambda b: b, end="-ubyte"):
    folder.mkdir(exist_ok=True)
    for part, data in (("train", train), ("t10k", test)):
        if data is not None:
            (folder / f"{prefix}{part}-images-idx3{end}").write_bytes(pack(idx_bytes(data[0])))
            (folder / f"{prefix}{part}-labels-idx1{end}").write_bytes(pack(idx_bytes(data[1])))
    return folder


def write_csv(file, images, labels, header=True):
    pixels = images.reshape(len(images), -1)
    lines = [",".join(["label", *(f"pixel{i}" for i in range(pixels.shape[1]))])] if header else []
    lines += [",".join(map(str, [label, *row])) for label, row in zip(labels.tolist(), pixels.tolist(), strict=True)]
    text = "\n".join(lines) + "\n"
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


def write_pictures(folder, images, labels, names=("0", "1", "2"), suffix=".png"):
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / names[label] / f"{index:03}{suffix}")
    return folder


def refusal(path):
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message, message
    return message


def together(data):
    """All images and labels, train and test, in an order of their own."""
    images = np.concatenate([data.train.images, data.test.images])
    labels = np.concatenate([data.train.labels, data.test.labels])
    order = np.lexsort([labels, *images.reshape(len(images), -1).T])
    return images[order], labels[order]


# What is read


@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress])
@pytest.mark.parametrize("end", ["-ubyte", ".ubyte", "-ubyte.gz"])
def test_a_folder_of_idx_files_is_read_gzipped_or_not(tmp_path, pack, end):
    train, test = digits(30), digits(9)
    data = load(write_idx(tmp_path / "fashion", train=train, test=test, pack=pack, end=end))
    np.testing.assert_array_equal(data.train.images, train[0])
    np.testing.assert_array_equal(data.test.labels, test[1])
    assert (data.name, data.classes, data.own_test) == ("fashion", ("0", "1", "2"), True)


def test_idx_files_named_with_a_dot_are_read(tmp_path):
    images, labels = digits()
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx_bytes(labels))
    assert not load(tmp_path).own_test


def test_emnist_is_set_upright_and_its_labels_start_at_zero_under_their_old_names(tmp_path):
    images, labels = digits()
    folder = write_idx(tmp_path / "e", "emnist-letters-", (images.transpose(0, 2, 1), labels + 1), digits(3))
    (folder / "emnist-letters-t10k-labels-idx1-ubyte").write_bytes(idx_bytes(digits(3)[1] + 1))
    data = load(folder)
    np.testing.assert_array_equal(data.train.images, images)
    np.testing.assert_array_equal(data.train.labels, labels)
    assert data.classes == ("1", "2", "3")


def test_of_several_idx_sets_in_a_folder_one_is_chosen_by_its_file(tmp_path):
    write_idx(tmp_path, "a-", train=digits(30))
    write_idx(tmp_path, "b-", train=digits(60))
    message = refusal(tmp_path)
    assert "2 sets" in message
    assert "a, b" in message
    data = load(tmp_path / "b-train-images-idx3-ubyte")
    assert len(data.train) + len(data.test) == 60


SHAPES = {
    "N3x28x28": lambda x: np.repeat(x[:, None], 3, axis=1),
    "RGBA": lambda x: np.concatenate([np.repeat(x[..., None], 3, axis=3), np.full((*x.shape, 1), 255, np.uint8)], 3),
    "uint16 of 0..255": lambda x: x.astype(np.uint16),
    "N28x28": lambda x: x,
    "N784": lambda x: x.reshape(-1, 784),
    "N28x28x1": lambda x: x[..., None],
    "N1x28x28": lambda x: x[:, None],
    "RGB": lambda x: np.repeat(x[..., None], 3, axis=3),
    "0..1": lambda x: (x / 255).astype(np.float32),
    "0..255 floats": lambda x: x.astype(np.float64),
    "int64": lambda x: x.astype(np.int64),
    "bits": lambda x: x > 127,
}


@pytest.mark.parametrize("form", SHAPES)
def test_an_npz_is_read_in_every_usual_shape_and_range(tmp_path, form):
    (x_train, y_train), (x_test, y_test) = digits(30), digits(9)
    change = SHAPES[form]
    np.savez(tmp_path / "d.npz", x_train=change(x_train), y_train=y_train, x_test=change(x_test), y_test=y_test)
    data = load(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.train.images, x_train)
    np.testing.assert_array_equal(data.test.images, x_test)
    np.testing.assert_array_equal(data.test.labels, y_test)
    assert data.own_test


def test_an_npz_of_images_and_labels_gets_a_stratified_test_part_fixed_by_the_split_seed(tmp_path):
    images, labels = digits(70, classes=2)
    np.savez(tmp_path / "d.npz", images=images, labels=np.array(["cat", "ant"])[labels])
    data = load(tmp_path / "d.npz")
    assert data.classes == ("ant", "cat")
    assert np.bincount(data.test.labels).tolist() == [5, 5]
    assert not data.own_test
    assert load(tmp_path / "d.npz").fingerprint() == data.fingerprint()
    assert load(tmp_path / "d.npz", split_seed=1).fingerprint() != data.fingerprint()


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz"])
@pytest.mark.parametrize("header", [True, False])
def test_a_csv_in_the_form_of_kaggle_is_read(tmp_path, name, header):
    images, labels = digits()
    data = load(write_csv(tmp_path / name, images, labels, header))
    read, read_labels = together(data)
    order = np.lexsort([labels, *images.reshape(len(images), -1).T])
    np.testing.assert_array_equal(read, images[order])
    np.testing.assert_array_equal(read_labels, labels[order])


def test_a_csv_may_have_quotes_blank_lines_windows_line_ends_floats_and_its_label_last(tmp_path):
    images, labels = digits(12, size=8)
    pixels = images.reshape(12, -1) / 255
    rows = [",".join([*(repr(float(v)) for v in row), f'"{label}"']) for row, label in zip(pixels, labels, strict=True)]
    text = "\r\n".join([",".join([*(f'"pixel{i}"' for i in range(64)), '"label"']), "", *rows, "", ""])
    (tmp_path / "odd.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    data = load(tmp_path / "odd.csv")
    assert len(data.train) + len(data.test) == 12
    assert data.train.images.max() == 255


def test_a_folder_of_train_csv_and_test_csv_is_read(tmp_path):
    write_csv(tmp_path / "train.csv", *digits(30))
    write_csv(tmp_path / "test.csv", *digits(9))
    data = load(tmp_path)
    assert (len(data.train), len(data.test), data.own_test) == (30, 9, True)


def test_a_folder_of_pictures_is_read_with_its_sub_folders_as_classes_in_order(tmp_path):
    images, labels = digits()
    folder = write_pictures(tmp_path / "pens", images, labels, names=("2", "10", "b"))
    (folder / "10" / "Thumbs.db").write_bytes(b"no picture")
    (folder / ".cache").mkdir()
    data = load(folder)
    assert data.classes == ("2", "10", "b")
    read, read_labels = together(data)
    order = np.lexsort([labels, *images.reshape(len(images), -1).T])
    np.testing.assert_array_equal(read, images[order])
    np.testing.assert_array_equal(read_labels, labels[order])


def test_a_folder_of_train_and_test_pictures_keeps_its_test_part(tmp_path):
    write_pictures(tmp_path / "train", *digits(12))
    write_pictures(tmp_path / "test", *digits(6))
    data = load(tmp_path)
    assert (len(data.train), len(data.test), data.own_test) == (12, 6, True)


def test_pictures_of_mixed_sizes_with_dark_ink_become_glyphs(tmp_path):
    for size in (28, 50, 91):
        images, labels = digits(6, size=size)
        write_pictures(tmp_path, 255 - images, labels, suffix=f"-{size}.png")
    data = load(tmp_path)
    assert len(data.train) + len(data.test) == 18
    assert (data.train.images[:, 0, 0] == 0).all()
    for image in data.train.images:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)


def test_the_polarity_is_decided_for_the_data_set_and_not_for_each_image(tmp_path):
    images, labels = digits(30)
    images[7] = 255 - images[7]  # one stray is not turned over
    np.savez(tmp_path / "d.npz", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    np.testing.assert_array_equal(load(tmp_path / "d.npz").train.images, images)


def test_small_images_of_few_levels_become_glyphs(tmp_path):
    images, labels = digits(20, size=8, classes=2)
    np.savez(tmp_path / "d.npz", images=images // 16, labels=labels)
    data = load(tmp_path / "d.npz")
    assert data.train.images.shape[1:] == (28, 28)
    assert (data.train.images.max(axis=(1, 2)) > 200).all()


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_a_csv_with_semicolons_or_tabs_is_read(tmp_path, delimiter, header):
    file = write_csv(tmp_path / "d.csv", *digits(), header)
    comma = load(file).fingerprint()
    file.write_text(file.read_text().replace(",", delimiter))
    assert load(file).fingerprint() == comma


def test_a_csv_may_call_its_labels_class(tmp_path):
    file = write_csv(tmp_path / "d.csv", *digits())
    expected = load(file).fingerprint()
    file.write_text(file.read_text().replace("label", "class", 1))
    assert load(file).fingerprint() == expected


def test_a_csv_without_labels_is_refused_in_a_short_line(tmp_path):
    (tmp_path / "d.csv").write_text("|".join(f"column{i}" for i in range(784)) + "\n")
    assert len(refusal(tmp_path / "d.csv")) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("prefix", ["mnist_", ""])
def test_a_folder_of_csv_files_with_a_common_beginning_is_read_with_its_val(tmp_path, prefix):
    for part, n in (("train", 30), ("val", 12), ("test", 9)):
        write_csv(tmp_path / f"{prefix}{part}.csv", *digits(n))
    data = load(tmp_path)
    assert (len(data.train), len(data.val), len(data.test), data.own_test) == (30, 12, 9, True)


def test_idx_files_each_in_a_folder_of_its_name_are_read(tmp_path):
    write_idx(tmp_path / "flat", train=digits(30), test=digits(9))
    for path in (tmp_path / "flat").iterdir():
        home = tmp_path / "kaggle" / path.name
        home.mkdir(parents=True)
        (home / path.name).write_bytes(path.read_bytes())
    assert load(tmp_path / "kaggle").fingerprint() == load(tmp_path / "flat").fingerprint()


def test_idx_files_are_found_in_the_raw_folder_below_and_two_sets_are_named(tmp_path):
    (tmp_path / "MNIST").mkdir()
    write_idx(tmp_path / "MNIST" / "raw", train=digits(30), test=digits(9))
    expected = load(tmp_path / "MNIST" / "raw").fingerprint()
    assert load(tmp_path).fingerprint() == load(tmp_path / "MNIST").fingerprint() == expected
    (tmp_path / "Other").mkdir()
    write_idx(tmp_path / "Other" / "raw", train=digits(30))
    assert "2 data sets (MNIST/raw, Other/raw)" in refusal(tmp_path)


@pytest.mark.parametrize(
    "names", ["X_{}, Y_{}", "x_{}, y_{}", "{}_images, {}_labels", "{}X, {}Y", "x{}, y{}", "{}_data, {}-targets"]
)
def test_an_npz_is_read_under_every_usual_name_with_its_val_and_the_rest_is_named(tmp_path, names):
    arrays = {"extra": np.arange(3)}
    for part, n in (("train", 30), ("val", 12), ("test", 9)):
        arrays |= dict(zip(names.format(part, part).split(", "), digits(n), strict=True))
    np.savez(tmp_path / "d.npz", **arrays)
    data = load(tmp_path / "d.npz")
    assert (len(data.train), len(data.val), len(data.test), data.own_test) == (30, 12, 9, True)
    assert any("left out extra" in line for line in data.notices)


@pytest.mark.parametrize("names", [("X", "y"), ("data", "target"), ("image", "label"), ("images", "labels")])
def test_an_npz_whose_names_tell_no_part_is_train(tmp_path, names):
    (x, y), (x_val, y_val) = digits(30), digits(12)
    np.savez(tmp_path / "d.npz", **dict(zip(names, (x, y), strict=True)), x_valid=x_val, y_valid=y_val)
    data = load(tmp_path / "d.npz")
    assert (len(data.train) + len(data.test), len(data.val), data.own_test) == (30, 12, False)


def test_of_two_arrays_that_tell_the_same_the_more_usual_is_read_and_the_other_named(tmp_path):
    images, labels = digits()
    np.savez(tmp_path / "d.npz", data=np.arange(3), images=images, labels=labels)
    data = load(tmp_path / "d.npz")
    assert len(data.train) + len(data.test) == 30
    assert any("left out data" in line for line in data.notices)


def test_a_folder_that_holds_one_thing_alone_is_that_thing(tmp_path):
    images, labels = digits(30)
    write_pictures(tmp_path / "pictures" / "set" / "set", images, labels)
    (tmp_path / "pictures" / "__MACOSX").mkdir()
    (tmp_path / "table").mkdir()
    np.savez(tmp_path / "table" / "d.npz", images=images, labels=labels)
    (tmp_path / "idx").mkdir()
    write_idx(tmp_path / "idx" / "gzip", "emnist-digits-", train=(images, labels))
    for name in ("pictures", "table", "idx"):
        data = load(tmp_path / name)
        assert (len(data.train) + len(data.test), data.classes) == (30, ("0", "1", "2")), name
    write_pictures(tmp_path / "alone" / "test", images, labels)
    assert "test without train" in refusal(tmp_path / "alone")


def test_pictures_beside_the_folders_of_the_classes_are_named(tmp_path):
    images, labels = digits(30)
    write_pictures(tmp_path, images, labels)
    Image.fromarray(images[0]).save(tmp_path / "beside.png")
    assert any("left out 1 picture (beside.png)" in line for line in load(tmp_path).notices)


@pytest.mark.parametrize(("turned", "said"), [(0, False), (1, False), (8, True), (15, True)])
def test_data_of_both_polarities_is_told_once(tmp_path, turned, said):
    images, labels = digits(30)
    images[:turned] = 255 - images[:turned]
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    write_pictures(tmp_path / "p", images, labels)
    for path in (tmp_path / "d.npz", tmp_path / "p"):
        told = [line for line in load(path).notices if "make them alike" in line]
        assert len(told) == said
        assert all(f"{turned} of 30 images looked at seem to have dark ink" in line for line in told)


def test_the_val_part_of_the_data_is_the_val_of_a_run(tmp_path):
    for part, n in (("train", 30), ("val", 12), ("test", 9)):
        write_pictures(tmp_path / part, *digits(n))
    parts = Parts(data := load(tmp_path), Recipe(data=str(tmp_path)))
    assert (len(parts.train), len(parts.val)) == (30, 12)
    assert len(Parts(data, Recipe(data=str(tmp_path), val_size=0)).val) == 0


@pytest.mark.parametrize("most", [4095, 65535])
def test_uint16_images_of_12_or_16_bits_are_read_and_that_is_said(tmp_path, most):
    images, labels = digits()
    wide = (images.astype(np.uint32) * most // 255).astype(np.uint16)
    np.savez(tmp_path / "d.npz", x_train=wide, y_train=labels, x_test=wide[:9], y_test=labels[:9])
    data = load(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.train.images, images)
    assert any(f"up to {most}" in line for line in data.notices)


def test_a_test_part_of_the_opposite_polarity_is_turned_over_and_that_is_said(tmp_path):
    (x, y), (x_test, y_test) = digits(30), digits(9)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=255 - x_test, y_test=y_test)
    write_pictures(tmp_path / "p" / "train", x, y)
    write_pictures(tmp_path / "p" / "test", 255 - x_test, y_test)
    for data in (load(tmp_path / "d.npz"), load(tmp_path / "p")):
        assert data.test.images[:, 0, 0].max() == 0
        assert data.test.images.max() == 255
        assert any("the ink of the test images is the other level" in line for line in data.notices)


def test_blank_rare_and_shared_images_are_counted(tmp_path):
    images, labels = digits(30)
    images[4] = 0
    labels[29] = 3
    np.savez(tmp_path / "d.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])
    said = "\n".join(load(tmp_path / "d.npz").notices)
    assert "in train: 1, such as image 4" in said
    assert "one training image, too few to learn or to judge by: 3" in said
    assert "3 of the 3 images of test are in train" in said


def test_what_a_class_folder_holds_beside_pictures_is_named(tmp_path):
    folder = write_pictures(tmp_path / "pens", *digits())
    (folder / "1" / "a.heic").write_bytes(b"heic")
    (folder / "2" / "more").mkdir()
    said = "\n".join(load(folder).notices)
    assert "1 file (a.heic)" in said
    assert "1 sub-folder (more)" in said


@pytest.mark.parametrize("colour", [255, 0, 130])
def test_pictures_of_one_colour_on_transparent_have_their_alpha_as_ink(tmp_path, colour):
    images, labels = digits(30)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        picture = np.full((28, 28, 4), colour, np.uint8)
        picture[..., 3] = image
        Image.fromarray(picture).save(tmp_path / str(label) / f"{index}.png")
    write_pictures(dark := tmp_path.with_name(tmp_path.name + "dark"), 255 - images, labels)
    np.testing.assert_array_equal(together(load(tmp_path))[0], together(load(dark))[0])


def test_a_run_goes_on_and_is_tested_where_its_data_was_moved_to_and_on_no_other(tmp_path):
    file, moved, other = tmp_path / "d.npz", tmp_path / "moved.npz", tmp_path / "other.npz"
    images, labels = digits(60)
    np.savez(file, images=images, labels=labels)
    np.savez(other, images=images[:30], labels=labels[:30])
    run = downstroke.train(data=str(file), epochs=1, model="linear", runs_dir=tmp_path / "runs")
    file.rename(moved)
    with pytest.raises(RunError, match="not those that"):
        run.extend(1, data=other)
    with pytest.raises(RunError, match="not those that"):
        run.test(data=other)
    with pytest.raises(RunError, match=r"is not at .*d\.npz any more; say where it is: downstroke continue .* --data"):
        run.extend(1)
    assert run.extend(1, data=moved).summary()["epochs"] == 2
    assert run.test(data=moved)["looks"] == 1


def test_the_place_that_data_was_moved_to_is_kept_and_found_by_all_that_reads_the_run(tmp_path):
    file, moved, again = (tmp_path / f"{name}.npz" for name in ("d", "moved", "again"))
    np.savez(file, **dict(zip(("images", "labels"), digits(60), strict=True)))
    fields = {"data": str(file), "epochs": 1, "model": "linear", "runs_dir": tmp_path / "runs", "progress": False}
    one, other = downstroke.train(**fields), downstroke.train(seed=1, **fields)
    file.rename(moved)
    other.test(data=moved)
    assert other.environment["data"]["place"] == str(moved)
    assert other.recipe.data == str(file)
    assert other.extend(1, progress=False).summary()["epochs"] == 2
    assert Inside(other).image(0)["image"]
    assert downstroke.compare(one, other)["runs"]  # the data of both is one: where either has found it
    moved.rename(again)
    other.extend(1, data=again, progress=False)
    assert downstroke.compare(other, one)["runs"]
    again.rename(file)  # back where the recipe says
    assert other.test()["looks"] == 2
    other.test(data=file)
    assert "place" not in other.environment["data"]


def write_val(tmp_path, form):
    images, labels = digits(15)
    match form:
        case "npz":
            np.savez(tmp_path / "v.npz", x_val=images, y_val=labels)
            return tmp_path / "v.npz"
        case "the val part of an npz":
            np.savez(tmp_path / "v.npz", x_val=images, y_val=labels, x_train=images[:6], y_train=labels[:6])
            return tmp_path / "v.npz"
        case "csv":
            return write_csv(tmp_path / "v.csv", images, labels)
        case "IDX":
            return write_idx(tmp_path / "v", train=(images, labels))
        case "EMNIST's IDX":
            return write_idx(tmp_path / "v", "emnist-", train=(images.transpose(0, 2, 1), labels))
        case "pictures":
            return write_pictures(tmp_path / "v", images, labels)
    raise AssertionError(form)


@pytest.mark.parametrize("own", ["npz", "pictures"])
@pytest.mark.parametrize("form", ["npz", "the val part of an npz", "csv", "IDX", "EMNIST's IDX", "pictures"])
def test_val_data_is_val_whatever_its_form_and_that_of_the_data(tmp_path, form, own):
    images, labels = digits(30)
    if own == "npz":
        np.savez(tmp_path / "d.npz", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    else:
        write_pictures(tmp_path / "d.npz" / "train", images, labels)
        write_pictures(tmp_path / "d.npz" / "test", images[:9], labels[:9])
    val = write_val(tmp_path, form)
    data = load(tmp_path / "d.npz", val_data=val)
    expected, expected_labels = digits(15)
    found = np.lexsort([data.val.labels, *data.val.images.reshape(15, -1).T])
    order = np.lexsort([expected_labels, *expected.reshape(15, -1).T])
    np.testing.assert_array_equal(data.val.images[found], expected[order])
    np.testing.assert_array_equal(data.val.labels[found], expected_labels[order])
    assert len(data.train) == 30
    assert data.fingerprint() != load(tmp_path / "d.npz").fingerprint()


def test_val_data_replaces_the_datas_own_val_part_and_that_is_said(tmp_path):
    for part, n in (("train", 30), ("val", 12), ("test", 9)):
        write_csv(tmp_path / f"{part}.csv", *digits(n))
    data = load(tmp_path, val_data=write_val(tmp_path, "npz"))
    assert len(data.val) == 15
    assert any("val.csv: left out, as --val-data gives the val images" in line for line in data.notices)


def test_val_data_that_does_not_fit_is_named(tmp_path):
    np.savez(tmp_path / "d.npz", **dict(zip(("images", "labels"), digits(30), strict=True)))

    def refusal_of(images, labels, **more):
        np.savez(tmp_path / "v.npz", images=images, labels=labels, **more)
        with pytest.raises(DataError) as caught:
            load(tmp_path / "d.npz", val_data=tmp_path / "v.npz")
        return str(caught.value)

    images, labels = digits(15)
    assert "the val part has label 5, which is not in train; expected one of 0, 1, 2" in refusal_of(images, labels + 5)
    assert "the val images are 20x20; expected 28x28" in refusal_of(*digits(15, size=20))
    both = {f"{kind}_{part}": array for part in ("train", "test") for kind, array in (("x", images), ("y", labels))}
    assert "as val data, expected one part alone" in refusal_of(images, labels, **both)
    with pytest.raises(DataError, match="nowhere: no such file or folder; expected a folder of IDX"):
        load(tmp_path / "d.npz", val_data=tmp_path / "nowhere")


def test_a_run_with_val_data_is_continued_tested_and_compared_also_with_one_of_other_training_images(tmp_path):
    np.savez(tmp_path / "d.npz", **dict(zip(("images", "labels"), digits(60), strict=True)))
    np.savez(tmp_path / "e.npz", **dict(zip(("images", "labels"), digits(90), strict=True)))
    val = write_val(tmp_path, "csv")
    fields = {"epochs": 1, "model": "linear", "runs_dir": tmp_path / "runs", "progress": False, "val_data": str(val)}
    one = downstroke.train(data=str(tmp_path / "d.npz"), **fields)
    other = downstroke.train(data=str(tmp_path / "e.npz"), **fields)
    assert one.environment["data"]["val"] == 15
    assert one.environment["data"]["val_fingerprint"] == other.environment["data"]["val_fingerprint"]
    assert downstroke.compare(one, other)["runs"]
    moved = val.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(RunError, match="--val-data PATH"):
        one.extend(1, progress=False)
    assert one.extend(1, val_data=moved, progress=False).summary()["epochs"] == 2
    assert one.test()["looks"] == 1
    write_csv(moved, *digits(12))
    with pytest.raises(RunError, match="not those that"):
        one.test()


def test_images_on_their_side_are_set_upright_by_transpose_in_every_form(tmp_path):
    images, labels = digits(30)
    on_their_side = images.transpose(0, 2, 1)
    np.savez(tmp_path / "d.npz", images=on_their_side.reshape(30, -1), labels=labels)
    write_csv(tmp_path / "d.csv", on_their_side, labels)
    write_idx(tmp_path / "d", train=(on_their_side, labels))
    write_pictures(tmp_path / "p", on_their_side, labels)
    order = np.lexsort([labels, *images.reshape(len(images), -1).T])
    for path in (tmp_path / "d.npz", tmp_path / "d.csv", tmp_path / "d", tmp_path / "p"):
        np.testing.assert_array_equal(together(load(path, transpose=True))[0], images[order])
    emnist = write_idx(tmp_path / "e", "emnist-digits-", train=(on_their_side, labels))  # known to be so
    np.testing.assert_array_equal(together(load(emnist, transpose=True))[0], images[order])


def test_a_csv_of_emnist_is_said_to_lie_on_its_side_until_it_is_set_upright(tmp_path):
    file = write_csv(tmp_path / "emnist-letters-train.csv", *digits())
    assert any("--transpose turns them upright" in line for line in load(file).notices)
    assert not any("EMNIST" in line for line in load(file, transpose=True).notices)


def test_digits_on_their_side_are_noticed_by_the_look_of_them_and_upright_ones_are_not(tmp_path, mnist):
    def notices(images, labels, **given):
        np.savez(tmp_path / "d.npz", images=images, labels=labels)
        return [line for line in load(tmp_path / "d.npz", **given).notices if "on their side" in line]

    images, labels = mnist.train.images[:300], mnist.train.labels[:300]
    lying = images.transpose(0, 2, 1)
    assert notices(images, labels) == []
    assert notices(lying, labels) == ["the digits lie on their side, rows and columns exchanged: try --transpose"]
    assert notices(lying, labels, transpose=True) == []
    assert notices(images, labels, transpose=True)[0].endswith("leave out --transpose")
    assert notices(lying, np.array(list("ABCDEFGHIJ"))[labels]) == []  # nothing is known of how letters look
    assert notices(np.random.default_rng(0).integers(0, 256, lying.shape, np.uint8), labels) == []


def test_the_look_of_upright_digits_is_that_of_mnist(mnist):
    for digit in range(10):
        mean = upright.cells(mnist.train.images[mnist.train.labels == digit])
        kept = np.array([int(level, 16) for level in upright._MEANS[digit]]).reshape(mean.shape)
        np.testing.assert_array_equal(kept, np.rint(mean / mean.max() * 15))


def test_pictures_of_12_bits_in_16_bit_files_are_scaled_and_that_is_said(tmp_path):
    images, labels = digits()
    for bits in (12, 16):
        wide = (images.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
        write_pictures(tmp_path / str(bits), wide, labels)
    narrow, wide = load(tmp_path / "12"), load(tmp_path / "16")
    np.testing.assert_array_equal(narrow.train.images, wide.train.images)
    assert any("30 of 30 pictures: levels of 16 bits, none above 4095" in line for line in narrow.notices)
    assert not any("16 bits" in line for line in wide.notices)


# What is refused

images, labels = digits()
NPZ = {
    "other keys": ({"a": images, "b": labels}, "the arrays are a, b; expected x_train"),
    "no arrays": ({}, "the arrays are none"),
    "objects": ({"images": np.array([1, "x"], object), "labels": labels}, "images holds Python objects"),
    "fewer labels": ({"images": images, "labels": labels[:-1]}, "30 images but 29 labels"),
    "one class": ({"images": images, "labels": labels * 0}, "every label is 0; expected at least 2"),
    "1001 classes": (
        {"images": np.zeros((1001, 4, 4), np.uint8), "labels": np.arange(1001)},
        "1,001 classes; expected at most",
    ),
    "too bright": (
        {"images": images.astype(int) * 2, "labels": labels},
        "image 0 has a pixel of 510; expected",
    ),
    "negative": ({"images": images.astype(int) - 1, "labels": labels}, "a pixel of -1"),
    "NaN": ({"images": np.where(images > 0, np.nan, 0), "labels": labels}, "image 0 has a pixel that is no number"),
    "no square": ({"images": images.reshape(30, -1)[:, 1:], "labels": labels}, "783 pixels an image"),
    "shape": ({"images": images[:, :, :, None].repeat(2, 3), "labels": labels}, "shape [30, 28, 28, 2]"),
    "text for images": ({"images": np.array(["a", "b"]), "labels": labels[:2]}, "images of type <U1"),
    "one-hot": ({"images": images, "labels": np.eye(3)[labels]}, "labels.argmax(1)"),
    "half labels": ({"images": images, "labels": labels + 0.5}, "label 0.5"),
    "negative label": ({"images": images, "labels": labels - 1}, "label -1"),
    "bytes for labels": ({"images": images, "labels": labels.astype("S1")}, "labels of type |S1"),
    "no images": ({"images": images[:0], "labels": labels[:0]}, "no images"),
    "too few to test": ({"images": images[:3], "labels": labels[:3]}, "3 images of 3 classes are too few"),
    "scalar": ({"images": images, "labels": np.int64(3)}, "labels is no array"),
    "blank image": ({"images": np.zeros((6, 9, 9), np.uint8), "labels": labels[:6]}, "image 0: the picture is blank"),
    "unknown test label": (
        {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels + 1},
        "the test part has label 3, which is not in train; expected one of 0, 1, 2",
    ),
    "test of another size": (
        {"x_train": images, "y_train": labels, "x_test": images[:, :8, :8], "y_test": labels},
        "the test images are 8x8; expected 28x28",
    ),
    "test of another label type": (
        {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels.astype(str)},
        "labels such as 0; expected",
    ),
}


@pytest.mark.parametrize("case", NPZ)
def test_a_bad_npz_is_refused_in_one_line_that_names_it(tmp_path, case):
    arrays, named = NPZ[case]
    np.savez(tmp_path / "bad.npz", **arrays)
    message = refusal(tmp_path / "bad.npz")
    assert "bad.npz" in message
    assert named in message


def test_an_npz_that_is_none_or_is_cut_short_is_refused_and_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    (tmp_path / "p.npz").write_bytes(pickle.dumps(Trap()))
    assert "not an .npz" in refusal(tmp_path / "p.npz")
    np.savez(tmp_path / "o.npz", images=np.array([Trap()]), labels=labels)
    assert "could run code" in refusal(tmp_path / "o.npz")
    np.savez(tmp_path / "whole.npz", images=images, labels=labels)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refusal(tmp_path / "cut.npz")
    damaged = bytearray(whole)
    damaged[5000:5100] = bytes(range(100))
    (tmp_path / "damaged.npz").write_bytes(damaged)
    assert "images is damaged" in refusal(tmp_path / "damaged.npz")


HEADER = "label,pixel0,pixel1,pixel2,pixel3"
CSV = {
    "no label": ("pixel0,pixel1,pixel2,pixel3\n1,2,3,4\n", "no column 'label' among pixel0"),
    "missing pixel": ("label,pixel0,pixel1,pixel3\n0,1,2,3\n", "column 'pixel2' is missing"),
    "stranger": (f"{HEADER},id\n0,1,2,3,4,5\n", "column 'id' is unknown"),
    "no square": ("label,a,b,c\n0,1,2,3\n", "3 columns beside the label"),
    "no square, no header": ("0,1,2,3\n", "4 columns and no header"),
    "ragged": (f"{HEADER}\n0,0,9,9,0\n1,0,9,9\n", "line 3: 4 fields; expected 5"),
    "too long": (f"{HEADER}\n0,0,9,9,0\n1,0,9,9,0,7\n", "line 3: 6 fields; expected 5"),
    "text": (f"{HEADER}\n0,0,ink,9,0\n", "line 2: pixel1 is 'ink'; expected a number"),
    "empty field": (f"{HEADER}\n\n0,0,,9,0\n", "line 3: pixel1 is ''"),
    "label missing": (f"{HEADER}\n,0,9,9,0\n", "line 2: label is ''"),
    "text label": (f"{HEADER}\nseven,0,9,9,0\n", "line 2: label is 'seven'"),
    "NaN label": (f"{HEADER}\nnan,0,9,9,0\n", "a label is NaN"),
    "half label": (f"{HEADER}\n0.5,0,9,9,0\n", "label 0.5"),
    "too bright": (f"{HEADER}\n" + "0,0,99,256,0\n1,9,9,0,0\n" * 9, "a pixel of 256; expected 0 to 255"),
    "NaN pixel": (f"{HEADER}\n" + "0,0,9,nan,0\n1,9,9,0,0\n" * 9, "a pixel that is no number"),
    "no rows": (f"{HEADER}\n", "a header and no rows"),
    "empty first line": ("\n\n", "the file is empty"),
    "nothing": ("", "0 bytes"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_bad_csv_is_refused_in_one_line_that_names_it(tmp_path, case):
    text, named = CSV[case]
    (tmp_path / "bad.csv").write_text(text)
    message = refusal(tmp_path / "bad.csv")
    assert "bad.csv" in message
    assert named in message


def test_a_csv_that_is_no_text_or_a_gzip_cut_short_is_refused(tmp_path):
    (tmp_path / "bytes.csv").write_bytes(b"label,\xff\xfe\x00")
    assert "not a text file" in refusal(tmp_path / "bytes.csv")
    whole = gzip.compress(b"label,pixel0\n" * 999)
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-9])
    assert "cut short" in refusal(tmp_path / "cut.csv.gz")
    (tmp_path / "none.csv.gz").write_bytes(b"label,pixel0\n")
    assert "gzip file is damaged" in refusal(tmp_path / "none.csv.gz")


def test_the_unlabelled_test_csv_of_kaggle_is_left_out_and_that_is_said(tmp_path):
    write_csv(tmp_path / "train.csv", images, labels)
    (tmp_path / "test.csv").write_text("pixel0,pixel1,pixel2,pixel3\n1,2,3,4\n")
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    data = load(tmp_path)
    assert (len(data.train) + len(data.test), data.own_test) == (30, False)
    assert any("test.csv has no labels and was left out" in line for line in data.notices)
    assert any("left out sample_submission.csv" in line for line in data.notices)
    assert sum("test.csv" in line for line in data.notices) == 1
    assert "no column 'label'" in refusal(tmp_path / "test.csv")
    (tmp_path / "test.csv").write_text("id,pixel0,pixel1,pixel2,pixel3\n0,1,2,3,4\n")
    assert any("test.csv has no labels and was left out" in line for line in load(tmp_path).notices)


@pytest.mark.parametrize("name", ["target", "digit", "Labels", "y"])
def test_a_column_of_labels_may_have_any_usual_name(tmp_path, name):
    write_csv(tmp_path / "d.csv", images, labels)
    (tmp_path / "e.csv").write_text((tmp_path / "d.csv").read_text().replace("label", name, 1))
    assert load(tmp_path / "e.csv").fingerprint() == load(tmp_path / "d.csv").fingerprint()


def test_a_table_without_a_header_whose_label_is_last_is_not_taken_for_one_class(tmp_path):
    write_csv(tmp_path / "d.csv", images, labels, header=False)
    rows = [line.split(",") for line in (tmp_path / "d.csv").read_text().splitlines()]
    (tmp_path / "e.csv").write_text("\n".join(",".join([*row[1:], row[0]]) for row in rows))
    assert "the first column is the label, and it is 0 in every row; if the last one is" in refusal(tmp_path / "e.csv")


def test_a_tsv_is_read_as_a_csv(tmp_path):
    write_csv(tmp_path / "d.csv", images, labels)
    tabbed = (tmp_path / "d.csv").read_text().replace(",", "\t")
    (tmp_path / "d.tsv").write_text(tabbed)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.tsv").write_text(tabbed)
    for path in (tmp_path / "d.tsv", tmp_path / "set"):
        assert load(path).fingerprint() == load(tmp_path / "d.csv").fingerprint()


IDX = {
    "no labels": (
        lambda f: (f / "train-labels-idx1-ubyte").unlink(),
        "no train labels; expected train-labels-idx1-ubyte",
    ),
    "no train": (lambda f: [p.unlink() for p in f.glob("train*")], "no train images"),
    "cut short": (lambda f: cut_short(f / "train-images-idx3-ubyte", 500), "it is cut short"),
    "head only": (lambda f: cut_short(f / "train-images-idx3-ubyte", 9), "9 bytes, too short"),
    "too long": (
        lambda f: (f / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:9]) + b"1234"),
        "it is too long",
    ),
    "wrong magic": (
        lambda f: (f / "train-images-idx3-ubyte").write_bytes(b"<html><body>no such file"),
        "starts with 3c 68",
    ),
    "swapped": (
        lambda f: (f / "train-labels-idx1-ubyte").write_bytes((f / "train-images-idx3-ubyte").read_bytes()),
        "expected 00 00 08 01, an IDX file of labels",
    ),
    "gzip cut short": (
        lambda f: (f / "train-images-idx3-ubyte").write_bytes(gzip.compress(idx_bytes(images))[:-20]),
        "the gzip file is damaged or cut short",
    ),
    "numbers differ": (
        lambda f: (f / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:-2])),
        "30 images but 28 labels",
    ),
}


def cut_short(path, length):
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize("case", IDX)
def test_bad_idx_files_are_refused_in_one_line_that_names_them(tmp_path, case):
    spoil, named = IDX[case]
    folder = write_idx(tmp_path / "idx", train=(images, labels), test=digits(9))
    spoil(folder)
    message = refusal(folder)
    assert str(folder) in message
    assert named in message


def spoilt_folder(folder, case):
    write_pictures(folder, images, labels)
    match case:
        case "empty class":
            (folder / "9").mkdir()
            return "9: no pictures in this class"
        case "unreadable":
            (folder / "1" / "001.png").write_bytes(b"no picture at all")
            return "1/001.png: not a picture"
        case "blank":
            Image.new("L", (40, 40), 255).save(folder / "2" / "x.png")
            return "2/x.png: the picture is blank"
        case "val beside train":
            write_pictures(folder / "train", images, labels)
            return "0 beside train; expected train, val and test alone"
        case "test without train":
            for name in "012":
                [path.unlink() for path in (folder / name).iterdir()]
                (folder / name).rmdir()
            write_pictures(folder / "test", images, labels)
            return "test without train"
    raise AssertionError(case)


@pytest.mark.parametrize("case", ["empty class", "unreadable", "blank", "val beside train", "test without train"])
def test_a_bad_folder_of_pictures_is_refused_in_one_line_that_names_it(tmp_path, case):
    named = spoilt_folder(tmp_path / "pens", case)
    assert named in refusal(tmp_path / "pens")


def test_a_test_class_that_train_has_not_is_named(tmp_path):
    write_pictures(tmp_path / "train", images, labels)
    write_pictures(tmp_path / "test", images, labels, names=("0", "1", "7"))
    assert "class 7 is not in" in refusal(tmp_path)


def test_one_class_or_none_is_refused(tmp_path):
    write_pictures(tmp_path / "one", images[:5], labels[:5] * 0)
    assert "only the class 0" in refusal(tmp_path / "one")
    (tmp_path / "flat").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "flat" / "a.png")
    assert "pictures without classes" in refusal(tmp_path / "flat")


def test_a_path_that_is_missing_empty_or_of_another_form_is_refused(tmp_path):
    assert "nowhere: no such file or folder; expected mnist, " in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in refusal(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt: unknown data format" in refusal(tmp_path / "notes.txt")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("hello")
    assert "holds notes.txt; expected" in refusal(tmp_path / "other")
    assert "neither a file nor a folder" in refusal("/dev/null")


def test_a_csv_of_many_columns_takes_time_in_line_with_them(tmp_path):
    """A lookup in a list made this quadratic: 4 rows of 256x256 pixels took 26 s. Here the comparisons are counted."""
    seen = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal seen
            seen += 1
            return str.__eq__(self, other)

    header = [Name(name) for name in ("label", *(f"pixel{n}" for n in range(64 * 64)))]
    assert len(tables._columns(tmp_path / "x.csv", header)[1]) == 64 * 64
    assert seen < 20 * len(header)
    file = tmp_path / "wide.csv"
    row = ",".join(["7"] * 256 * 256)
    head = ",".join(f"pixel{n}" for n in range(256 * 256))
    file.write_text(f"label,{head}\n" + "".join(f"{label},{row}\n" for label in (0, 1, 0, 1)))
    assert tables.read_csv(file).images.shape == (4, 256 * 256)


@pytest.mark.parametrize("form", ["npz", "idx"])
def test_images_are_not_unpacked_where_the_labels_are_of_no_use(tmp_path, form):
    """A few MB of zeros, packed, are gigabytes of images: what is wrong with their labels is found out before."""
    count = 100_000  # 78 MB of images
    images, zeros = np.zeros((count, 28, 28), np.uint8), np.zeros(count, np.uint8)
    if form == "npz":
        np.savez_compressed(tmp_path / "bomb.npz", x_train=images, y_train=zeros)
        path = tmp_path / "bomb.npz"
    else:
        path = write_idx(tmp_path / "bomb", pack=gzip.compress, train=(images, zeros))
    del images
    tracemalloc.start()
    assert "every label is 0" in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_an_idx_file_that_promises_more_than_it_can_hold_is_refused_before_memory_is_taken(tmp_path):
    images, labels = digits()
    folder = write_idx(tmp_path / "idx", train=(images, labels))
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:4] + struct.pack(">3I", len(labels), 1 << 30, 1 << 30))
    assert "it is cut short" in refusal(folder)


def test_large_labels_do_not_merge_and_none_is_shown_as_negative(tmp_path):
    images, labels = digits()
    file = tmp_path / "large.csv"
    pixels = ",".join(["0.5"] * 4)
    file.write_text("".join(f"{label},{pixels}\n" for label in (16_777_216, 16_777_217, 16_777_218) * 4))
    assert np.unique(tables.read_csv(file).labels).tolist() == [16_777_216, 16_777_217, 16_777_218]
    np.savez(tmp_path / "last.npz", images=images, labels=np.where(labels == 0, np.uint64(2**64 - 1), np.uint64(1)))
    assert "label 18446744073709551615; expected whole numbers up to" in refusal(tmp_path / "last.npz")


def test_a_locked_npz_and_class_names_that_are_no_text_get_a_line(tmp_path):
    images, labels = digits()
    file = tmp_path / "locked.npz"
    np.savez(file, images=images, labels=labels)
    data = bytearray(file.read_bytes())
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag that says: encrypted
        at = data.find(sign)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(sign, at + 4)
    file.write_bytes(bytes(data))
    assert "is damaged or locked" in refusal(file)
    names = np.frombuffer(b"\xff\xff\xff\x7fb\0\0\0" * len(labels), "<U1")[: len(labels)]
    np.savez(tmp_path / "names.npz", images=images, labels=names)
    assert "labels is damaged" in refusal(tmp_path / "names.npz")


MB = 1_000_000


def spread_npz(folder, images, labels):
    """`images` and `labels`: arrays, or the bytes of an .npy."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, held in (("images", images), ("labels", labels)):
            with archive.open(f"{name}.npy", "w") as member:
                member.write(held) if isinstance(held, bytes) else np.lib.format.write_array(member, held)
    return folder / "a.npz"


def spread_csv(folder, name, *lines):
    write_csv(folder / "train.csv", *digits())
    (folder / name).write_bytes(gzip.compress(b"\n".join(lines), 1))
    return folder if name.startswith("test") else folder / name


SPREAD = {
    "labels for other images": (
        lambda f: spread_npz(f, np.zeros((10, 28, 28), np.uint8), np.zeros(30 * MB, np.uint8)),
        "10 images but 30,000,000 labels",
    ),
    "labels in IDX for other images": (
        lambda f: write_idx(
            f / "idx", pack=gzip.compress, train=(np.zeros((10, 28, 28), np.uint8), np.zeros(30 * MB, np.uint8))
        ),
        "10 images but 30,000,000 labels",
    ),
    "labels of many letters": (
        lambda f: spread_npz(f, np.zeros((3, 28, 28), np.uint8), np.zeros(3, "<U3000000")),
        "labels of type <U3000000",
    ),
    "labels of records": (
        lambda f: spread_npz(f, np.zeros((3, 28, 28), np.uint8), np.zeros(3, "V10000000")),
        "labels of type |V10000000",
    ),
    "one-hot labels": (
        lambda f: spread_npz(f, np.zeros((3, 28, 28), np.uint8), np.zeros((3, 10 * MB), np.uint8)),
        "labels.argmax(1)",
    ),
    "a header": (
        lambda f: spread_npz(
            f, np.lib.format.magic(2, 0) + struct.pack("<I", 30 * MB) + b" " * 30 * MB, np.zeros(3, np.uint8)
        ),
        "its header has 30,000,000 bytes",
    ),
    "large images": (
        lambda f: spread_npz(f, np.zeros((2, 5000, 5000), np.uint8), np.zeros(2, np.uint8)),
        "images of 5,000 x 5,000; expected at most 16,000,000 pixels each",
    ),
    "many tiny images": (
        lambda f: spread_npz(f, np.zeros((30 * MB, 1, 1), np.uint8), np.zeros(30 * MB, np.uint8)),
        "30,000,000 images; expected at most 20,000,000",
    ),
    "long lines": (
        lambda f: spread_csv(f, "a.csv.gz", b"label,pixel0,pixel1,pixel2,pixel3", *[b"0" * 10 * MB] * 3),
        "a line of more than 1,200 characters",
    ),
    "a long first line": (lambda f: spread_csv(f, "a.csv.gz", b"," * 30 * MB), "a line of more than 41,000 characters"),
    "many columns": (lambda f: spread_csv(f, "a.csv.gz", b"," * 2000), "2,001 columns; expected at most 1,000"),
    "a long line of a test part": (
        lambda f: spread_csv(f, "test.csv.gz", b"p" * 30 * MB),
        "a line of more than 41,000 characters",
    ),
}


@pytest.mark.parametrize("what", SPREAD)
def test_what_spreads_to_many_times_its_file_is_refused_by_its_head(tmp_path, monkeypatch, what):
    """The same of 3 GB once took 3 to 9 GB: tests/attack."""
    monkeypatch.setattr(tables, "_MOST_COLUMNS", 1000)
    write, said = SPREAD[what]
    path = write(tmp_path)
    tracemalloc.start()
    assert said in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * MB


def test_blocks_of_a_csv_are_bounded_by_their_characters_too(tmp_path, monkeypatch):
    images, labels = digits()
    write_csv(tmp_path / "whole.csv", images, labels)
    whole = tables.read_csv(tmp_path / "whole.csv")
    monkeypatch.setattr(tables, "_MOST_TEXT", 3000)  # two lines
    parts = tables.read_csv(tmp_path / "whole.csv")
    np.testing.assert_array_equal(parts.images, whole.images)
    np.testing.assert_array_equal(parts.labels, whole.labels)


def test_a_column_of_5000_digits_and_class_names_that_are_no_utf_8_get_a_line(tmp_path):
    images, labels = digits()
    file = tmp_path / "a.csv"
    file.write_text(f"label,pixel0,pixel1,pixel2,pixel{'9' * 5000}\n0,1,2,3,4\n")
    assert "is unknown" in refusal(file)
    np.savez(tmp_path / "b.npz", images=images, labels=np.array(["a\ud800", "b", "c"])[labels])
    assert r"the name of class a\ud800 is not UTF-8" in refusal(tmp_path / "b.npz")
    try:
        write_pictures(tmp_path / "c", images, labels, names=(os.fsdecode(b"\xff"), "b", "c"))
    except (OSError, UnicodeError):
        pytest.skip("names of folders are UTF-8 here")
    assert r"the name of class \udcff is not UTF-8" in refusal(tmp_path / "c")


def nowhere(folder, what):
    if what == "a circle of links":
        (folder / "circle").symlink_to(folder / "circle")
        return str(folder / "circle")
    return {"a user there is not": "~no-such-user/data", "too long": "d" * 600}[what]


@pytest.mark.parametrize("what", ["a user there is not", "a circle of links", "too long"])
def test_a_path_that_leads_nowhere_is_one_line_wherever_data_is_read(tmp_path, what):
    path = nowhere(tmp_path, what)
    np.savez(tmp_path / "digits.npz", images=digits()[0], labels=digits()[1])
    training = {"runs_dir": tmp_path / "runs", "epochs": 1, "progress": False}
    for read in (
        lambda: load(path),
        lambda: load_images(path),
        lambda: downstroke.train(data=path, **training),
        lambda: downstroke.train(data=str(tmp_path / "digits.npz"), val_data=path, **training),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert path in str(caught.value)
        assert "\n" not in str(caught.value)
