"""The images of a picture file that holds several, where Pillow does not give them as they are: phone JPEGs, 16-bit animations."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

from medzoo.data.images.jpeg_markers import JpegStream
from medzoo.data.images.pillow.truncation import PNG, png_chunks
from medzoo.errors import ImageError

_ENTRIES, _ENTRY = 0xB002, 16  # a tag of the index of several images, and the bytes of an entry


def jpeg_offsets(data: bytes, found: JpegStream) -> list[int]:
    """Where the images of a JPEG file begin: the main one, and those that its index lists (previews, depth, gain map).

    Args:
        data: the file.
        found: in its first stream.

    Returns:
        a list that begins with 0; entries of the index that lead to no JPEG are left out.

    Source: CIPA DC-007 (Multi-Picture Format), 5.2.
    """
    offsets = [0]
    if found.several:
        with suppress(struct.error, IndexError):  # an editor kept a part of the index
            offsets += [at for at in _listed(data, found.several) if data[at : at + 2] == b"\xff\xd8"]
    return offsets


def _listed(data: bytes, base: int) -> list[int]:
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


def without_index(data: bytes, found: JpegStream) -> bytes:
    """The same stream, whose index of several images no reader sees."""
    return data[: found.several - 4] + b"mpf\0" + data[found.several :] if found.several else data


def png_frame(data: bytes, frame: int, where: str) -> bytes:
    """A frame of an animated PNG as a PNG of its own.

    Args:
        data: the file.
        frame: from 0, as Pillow counts them: the default image first.
        where: for messages.

    Raises:
        ImageError: for a frame that is drawn over others.
    """
    shared: list[bytes] = []
    frames: list[list[bytes]] = []
    controls: list[bytes] = []
    header, drawn = b"", False
    for name, start, stop in png_chunks(data):
        content = data[start:stop]
        if name == b"IHDR":
            header = content
        elif name == b"fcTL":
            controls.append(content)
            frames.append([])
        elif name in (b"IDAT", b"fdAT"):
            drawn = True
            if not frames:  # a default image that is no part of the animation
                controls.append(b"")
                frames.append([])
            frames[-1].append(content[4:] if name == b"fdAT" else content)
        elif not drawn and name != b"acTL":
            shared.append(_chunk(name, content))
    if frame >= len(frames):
        raise ImageError(f"{where}: has no frame {frame}; it holds {len(frames)}.")
    control = controls[frame]
    opaque = header[9] in (0, 2) and not any(chunk[4:8] == b"tRNS" for chunk in shared)
    whole = control[4:20] == header[:8] + bytes(8) and (control[25] == 0 or opaque) if control else True
    if frame and not whole:
        raise ImageError(
            f"{where}: frame {frame} is drawn over the frames before it, which is not done for 16 bits a channel. Save the frames "
            "as files of their own."
        )
    return b"".join(
        [PNG, _chunk(b"IHDR", header), *shared, _chunk(b"IDAT", b"".join(frames[frame])), _chunk(b"IEND", b"")]
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
