"""Single images of files with several, where Pillow does not give them unchanged: phone JPEGs, 16-bit animations."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

from medzoo.data.images.jpeg_markers import JpegStream
from medzoo.data.images.pillow.truncation import PNG, png_chunks
from medzoo.errors import ImageError

_ENTRIES, _ENTRY = 0xB002, 16  # the tag with the entries of the multi-picture index, and the bytes per entry


def jpeg_offsets(data: bytes, stream: JpegStream) -> list[int]:
    """The offsets of the images of a JPEG file: the main one, and those in its index (previews, depth, gain map).

    Args:
        data: the file.
        stream: the markers of its first stream.

    Returns:
        a list that begins with 0; entries of the index that do not point to a JPEG are skipped.

    Source: CIPA DC-007 (Multi-Picture Format), 5.2.
    """
    offsets = [0]
    if stream.index:
        with suppress(struct.error, IndexError):  # some editors save only a part of the index
            offsets += [at for at in _index_entries(data, stream.index) if data[at : at + 2] == b"\xff\xd8"]
    return offsets


def _index_entries(data: bytes, base: int) -> list[int]:
    """The offsets of the second and later images."""
    order = "<" if data[base : base + 2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, base + 4)
    (tags,) = struct.unpack_from(f"{order}H", data, base + at)
    for number in range(tags):
        tag, _, size, value = struct.unpack_from(f"{order}HHII", data, base + at + 2 + 12 * number)
        if tag == _ENTRIES:
            entries = [
                struct.unpack_from(f"{order}IIIHH", data, base + value + step) for step in range(0, size, _ENTRY)
            ]
            return [base + entry[2] for entry in entries[1:] if entry[2]]
    return []


def without_index(data: bytes, stream: JpegStream) -> bytes:
    """The same stream with its multi-picture index renamed, so that decoders ignore it."""
    return data[: stream.index - 4] + b"mpf\0" + data[stream.index :] if stream.index else data


def png_frame(data: bytes, frame: int, where: str) -> bytes:
    """A frame of an animated PNG as a separate PNG.

    Args:
        data: the file.
        frame: from 0, as Pillow counts them: the default image first.
        where: for messages.

    Raises:
        ImageError: for a frame that is drawn over others.
    """
    # Collect the chunks of each frame, and those that all frames share.
    shared: list[bytes] = []
    frames: list[list[bytes]] = []
    controls: list[bytes] = []
    header, in_pixels = b"", False
    for name, start, stop in png_chunks(data):
        content = data[start:stop]
        if name == b"IHDR":
            header = content
        elif name == b"fcTL":
            controls.append(content)
            frames.append([])
        elif name in (b"IDAT", b"fdAT"):
            in_pixels = True
            if not frames:  # a default image outside of the animation
                controls.append(b"")
                frames.append([])
            frames[-1].append(content[4:] if name == b"fdAT" else content)
        elif not in_pixels and name != b"acTL":
            shared.append(_chunk(name, content))
    if frame >= len(frames):
        raise ImageError(f"{where}: there is no frame {frame}; the file has {len(frames)}.", code="frame-out-of-range")
    # A frame is complete if it has the full size and replaces the frame before.
    control = controls[frame]
    opaque = header[9] in (0, 2) and not any(chunk[4:8] == b"tRNS" for chunk in shared)
    complete = control[4:20] == header[:8] + bytes(8) and (control[25] == 0 or opaque) if control else True
    if frame and not complete:
        raise ImageError(
            f"{where}: frame {frame} is drawn over earlier frames, which medzoo does not read for 16 bits per channel. Save each "
            "frame as a separate file.",
            code="animation-frame-partial",
        )
    return b"".join(
        [PNG, _chunk(b"IHDR", header), *shared, _chunk(b"IDAT", b"".join(frames[frame])), _chunk(b"IEND", b"")]
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
