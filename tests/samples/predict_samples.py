"""Small networks with a head, and films in real formats, for the tests of predictions."""

import numpy as np
import torch
from dicom_samples import image, written
from PIL import Image
from zoo_samples import small_model

import medzoo
from medzoo.data.decode_cache.rows import to_row
from medzoo.data.images.read import apply_window, to_pixels

LABELS = {
    "binary": ["normal", "pneumonia"],
    "multiclass": ["a", "b", "c"],
    "multilabel": ["a", "b", "c"],
    "regression": ["age"],
}
PROBLEMS = {"multilabel": "multi_label_classification", "regression": "regression"}


def trained(folder, kind="multiclass", architecture="test_resnet", *, size=64, head_scale=None, **card):
    """A folder as fine-tuning writes it."""
    labels = LABELS[kind]
    fixed = {"img_size": size} if "vit" in architecture else {}
    model = small_model(architecture, num_classes=len(labels), **fixed)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.get_classifier().weight, std=head_scale or 0.5)
    card = {"input": {"size": size, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}, **card}
    facts = {"name": f"{architecture}-drawn", "license": "mit", "data": ["drawn"], "labels": labels, **card}
    return medzoo.save(model, folder, card={**facts, "problem_type": PROBLEMS.get(kind)})


def pngs(folder, count=5, seed=0):
    """Grey and colour PNG files of different sizes; gives their paths in order."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        shape = (40 + number, 50) if number % 2 else (40, 50 + number, 3)
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(paths[-1])
    return paths


def dicom(path, array=None, **elements):
    """A DICOM file."""
    array = np.random.default_rng(3).integers(0, 4096, (12, 20), dtype=np.uint16) if array is None else array
    path.write_bytes(written(image(array, bits=12, **elements)))
    return path


def cells(column):
    """The values of a column; None for missing ones."""
    return column.astype(object).where(column.notna(), None).tolist()


def as_stored(folder, image, window=None):
    """The input of a network, from the pixels that a training run stores: 8 bit images stay 8 bit when they are resized."""
    change = medzoo.transform(str(folder), window=window)
    pixels = to_pixels(image, window=window)
    if window is None and change.clip and pixels.unit == "HU":
        pixels = apply_window(pixels, change.clip)
    row = to_row(pixels, change.size)
    values = torch.from_numpy(row / np.float32(np.iinfo(row.dtype).max))
    colour = values[None].expand(3, -1, -1) if values.ndim == 2 else values.permute(2, 0, 1)
    mean, std = (torch.tensor(one)[:, None, None] for one in (change.mean, change.std))
    return (colour - mean) / std


def by_hand(folder, images, problem="softmax"):
    """Probabilities by a plain loop: load, read, network, one image after the other."""
    model = medzoo.load(str(folder), num_classes="pretrained")
    with torch.inference_mode():
        logits = torch.cat([model(as_stored(folder, one)[None]) for one in images]).double()
    return {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid(), "value": logits}[problem].numpy()
