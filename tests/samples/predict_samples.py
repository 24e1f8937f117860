"""Small networks with a head, and films in real formats, for the tests of predictions."""

import numpy as np
import torch
from dicom_samples import image, written
from PIL import Image
from zoo_samples import small_model

import medzoo

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


def by_hand(folder, images, problem="softmax"):
    """Probabilities by a plain loop: load, transform, network, one image after the other."""
    model, change = medzoo.load(str(folder), num_classes="pretrained"), medzoo.transform(str(folder))
    with torch.inference_mode():
        logits = torch.cat([model(change(one)[None]) for one in images]).double()
    return {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid(), "value": logits}[problem].numpy()
