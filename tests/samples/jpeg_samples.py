"""JPEG streams with and without the markers and names that say what their colours are, and damaged ones."""

import io

import numpy as np
from PIL import Image

_Y, _X = np.mgrid[0:48, 0:64]
GREY = np.clip(120 + 60 * np.sin(_X / 9) + 50 * np.cos(_Y / 7), 0, 255).astype(np.uint8)
GREY[::3, ::2] += 9
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
RED = np.zeros((32, 32, 3), np.uint8) + np.array([200, 30, 60], np.uint8)


def encoded(image, kind="JPEG", **options):
    """The bytes of a picture."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def segments(data):
    """Marker, start and end of each segment before the first scan."""
    at = 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], at, end
        at = end
    yield 0xDA, at, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def without(data, *markers):
    """The stream without some segments."""
    found = [(start, end) for marker, start, end in segments(data) if marker in markers]
    for start, end in reversed(found):
        data = data[:start] + data[end:]
    return data


def with_adobe(data, transform):
    """The stream with an Adobe marker."""
    return data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) + data[2:]


def named(data, ids):
    """The stream with other names of its components, in the frame and in the scan."""
    changed = bytearray(data)
    for marker, start, _ in segments(data):
        if marker in (0xC0, 0xC1, 0xC2):
            changed[start + 10 : start + 19 : 3] = ids
        if marker == 0xDA:
            changed[start + 5 : start + 11 : 2] = ids
    return bytes(changed)


def scan_start(data):
    """Where the data of the first scan begin."""
    return list(segments(data))[-1][2]


def cut_scan(data, share):
    """The stream up to a share of its scan data, with an end marker."""
    start = scan_start(data)
    kept = data[: start + int(share * (len(data) - 2 - start))]
    return kept.removesuffix(b"\xff") + b"\xff\xd9"
