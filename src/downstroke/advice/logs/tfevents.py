"""Scalars out of a TensorBoard event file, without tensorboard.

The file is a row of TFRecords: length (uint64), its checksum (uint32), the bytes, their checksum (uint32). The bytes of
each are a protocol buffer `Event`; of its fields only these are looked at, under the numbers of TensorFlow's
event.proto, summary.proto and tensor.proto:

    Event.step 2, Event.summary 5; Summary.value 1; Value.tag 1, Value.simple_value 2, Value.tensor 8;
    TensorProto.dtype 1, .tensor_content 4, .float_val 5, .double_val 6, .int_val 7, .int64_val 10
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

T = TypeVar("T")

HEAD = 64  # bytes that tell an event file
MOST_RECORD = 16_000_000  # bytes of a record that is looked at
MOST_SKIPPED = 2**31  # bytes: a protocol buffer has no more
#: TensorProto.dtype -> struct: float, double, int32, int64, half.
_DTYPES = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}


def is_event_file(start: bytes) -> bool:
    """Whether a file that begins with `start` (`HEAD` bytes are enough) is an event file: its first record says so."""
    return b"brain.Event:" in start[:HEAD]


def scalars(file: BinaryIO) -> Iterator[tuple[int, str, float]]:
    """(step, tag, value) of every scalar in an event file, in the order of writing.

    A last record that is still being written is left out, and so is one too large to be of scalars, such as that of an
    image. Checksums are not looked at. Raises ValueError for bytes that are no event file.
    """
    while len(head := file.read(12)) == 12:
        (length,) = struct.unpack_from("<Q", head)
        if not 0 < length <= MOST_SKIPPED:  # none has: zeros that a crash left behind, or damage
            return
        if length > MOST_RECORD:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        event = file.read(length)
        if len(event) < length or len(file.read(4)) < 4:
            return
        step, summaries = 0, []
        for number, value in _fields(event):
            if number == 2:
                step = _as(int, value)
            elif number == 5:
                summaries.append(_as(bytes, value))
        for summary in summaries:
            for number, value in _fields(summary):
                if number == 1 and (found := _scalar(_as(bytes, value))):
                    yield (step, *found)


def _scalar(data: bytes) -> tuple[str, float] | None:
    """Tag and number of a Summary.Value; None where it is no single number (an image, a histogram, text)."""
    tag, number = "", None
    for field, value in _fields(data):
        if field == 1:
            tag = _as(bytes, value).decode(errors="replace")
        elif field == 2:
            number = _single(_as(bytes, value))
        elif field == 8:
            number = _one_number(_as(bytes, value))
    return None if number is None else (tag, number)


def _one_number(data: bytes) -> float | None:
    """The number in a TensorProto that holds one; else None."""
    found = dict(_fields(data))
    form = _DTYPES.get(_as(int, found.get(1, 0)))
    if not form:
        return None
    if 4 in found:
        content = _as(bytes, found[4])
        return float(struct.unpack(form, content)[0]) if len(content) == struct.calcsize(form) else None
    if 7 in found or 10 in found:
        whole = found[7] if 7 in found else found[10]
        return float(whole if isinstance(whole, int) else _varint(whole, 0)[0])
    packed = _as(bytes, found.get(5, found.get(6, b"")))
    return float(struct.unpack(form, packed)[0]) if len(packed) == struct.calcsize(form) else None


def _as(kind: type[T], value: Any) -> T:
    """A field's value, which is of that kind unless the file is damaged. ValueError."""
    if not isinstance(value, kind):
        raise ValueError("a field has an unexpected type")
    return value


def _single(data: bytes) -> float:
    if len(data) != 4:
        raise ValueError("a number is not 4 bytes long")
    return float(struct.unpack("<f", data)[0])


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: an int of a varint, bytes of all else."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind == 2:
            length, position = _varint(data, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + length > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits per byte, the lowest first, and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number has no end")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
