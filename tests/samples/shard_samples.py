"""Small folders of shards."""

import io

import numpy as np
from data_samples import INFO, make
from PIL import Image

from medzoo.data.images.read import Pixels, decode_bytes
from medzoo.data.shards.write import write_shards


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(array, quality=90):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class BytesReader:
    """Images and masks under keys, encoded or as Pixels."""

    def __init__(self, images, masks=None):
        self.images, self.masks = images, masks or {}

    def read(self, key):
        image = self.images[key]
        return image if isinstance(image, Pixels) else decode_bytes(image, key)

    def raw(self, key):
        image = self.images[key]
        return image if isinstance(image, bytes) else None

    def read_mask(self, key):
        return self.masks[key]


def numbered_task(count=23, side=8, validation=4, **info):
    """A task whose image n is a gradient that no other has; id and patient say n."""
    rng = np.random.default_rng(0)
    images = {f"i{n}": png(rng.integers(0, 256, (side, side), dtype=np.uint8)) for n in range(count + validation)}

    def rows(numbers):
        keys = [f"i{n}" for n in numbers]
        return {
            "id": keys, "image": keys, "label": [n % 2 for n in numbers], "patient_id": [f"p{n // 2}" for n in numbers],
            "age": [None if n % 3 == 0 else float(n) for n in numbers],
        }  # fmt: skip

    start = count + count % 2
    facts = INFO.__class__(**{**INFO.__dict__, **info})
    task = make(facts, train=rows(range(count)), validation=rows(range(start, count + validation)))
    task.reader = BytesReader(images)
    return task


def written(folder, count=23, per_shard=5, **options):
    return write_shards(numbered_task(count), folder, images_per_shard=per_shard, progress=False, **options)
