"""Every format against its manifest: names, values, and upstream's own features where they are at hand."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from upstream_files import SHARED, builder
from zoo_samples import BGR

import medzoo
from medzoo.closed_schema import parse
from medzoo.errors import ConversionError
from medzoo.zoo.convert.convert import convert_entry
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.key_rules import apply, fits, plan
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.checkpoint import Checkpoint

MANIFESTS = sorted(path.stem for path in (SHARED / "upstream" / "manifests").glob("*.json"))
GOLDEN = sorted(path.stem for path in (SHARED / "upstream" / "golden").glob("*.safetensors"))
TWO_NETWORKS = {
    "pycontrast-cmc"
}  # two half-width nets on Lab channels: no timm model, and no checkpoint of the registry
FROM_CODE = {"sit", "simmim-vit-base"}  # written from their authors' training code; see test_convert.py
JOINED = {"rad-dino-hf"}  # three layers become one
# keys and shapes tell these from each other by nothing that is known for certain
ALIKE = [
    {"barlowtwins", "radnet-simclr-encoder"}, {"dino-vit-small16-backbone", "dino-vit-base16-backbone"},
    {"inat2021-supervised", "inat2021-mini-supervised-scratch"}, {"swav", "swav-training"},
    {"convnext-tiny", "convnext-base"}, {"swin-tiny", "swin-base", "swin-training"}, {"mocov3-vit-small", "mocov3-vit-base"},
    {"mae-pretrain", "mae-pretrain-training"}, {"mae-pretrain", "mocov3-vit-small", "mocov3-vit-base"},
    {"selav2", "deepclusterv2"}, {"pycontrast-insdis", "pycontrast-moco"},
]  # fmt: skip

pytestmark = pytest.mark.real
needs_manifests = pytest.mark.skipif(not MANIFESTS, reason=f"no manifests at {SHARED / 'upstream'}")


# In the shorter run others stand for these: mae-pretrain for vision transformers of the base size (at up to 518 pixels), and
# moco-v2 for a ResNet-50 whose keys have another beginning. Two files are compared elsewhere as well: keras-resnet50 below, in
# a process of its own, and simclr-v1 in readers/test_tensorbundle.py.
REPEATED = (
    "dinov2-vitb14", "mocov3-vit-base", "barlowtwins", "inat2021-supervised", "pcl-v1", "pycontrast-infomin", "swav",
    "vissl-classy", "keras-resnet50", "simclr-v1",
)  # fmt: skip


def entry_of(identifier):
    """The checkpoint of the registry that is published like this, or one made for the manifest."""
    about = builder().manifest(identifier)["timm"]
    for name in registry.names():
        source = medzoo.info(name).upstream
        if source and identifier in (source.format, *source.also) and about["arch"] in medzoo.info(name).architecture:
            return medzoo.info(name)
    keywords = dict(about["kwargs"])
    keywords.pop("num_classes")
    size, channels = builder().input_tensor(identifier).shape[-1], keywords.pop("in_chans", 3)
    return parse(
        Checkpoint,
        {
            "name": "made-here", "architecture": about["arch"], "model": {"kwargs": keywords},
            "input": {"size": size, "channels": channels, "mean": [0.5] * channels, "std": [0.5] * channels},
            "pretraining": {"data": ["x"]}, "upstream": {"format": identifier, "access": "manual", "instructions": "Ask."},
            "license": {"id": "mit", "redistributable": True},
        },
        identifier,
    )  # fmt: skip


def built(identifier, path, legacy=None):
    try:
        return builder().build(identifier, path, legacy)
    except builder().Skip as missing:
        pytest.skip(str(missing))


@needs_manifests
def test_every_manifest_has_a_format():
    assert set(MANIFESTS) - TWO_NETWORKS == set(FORMATS) - {"timm"} - FROM_CODE


@pytest.mark.parametrize("identifier", [name for name in MANIFESTS if name not in TWO_NETWORKS])
def test_every_key_goes_where_the_manifest_says(identifier):
    rows = builder().manifest(identifier)["tensors"]
    rules = FORMATS[identifier]
    sorted_ = plan([row[0] for row in rows], rules)
    assert sorted_.fits and fits({row[0]: tuple(row[1]) for row in rows}, rules)
    want = {stored: new for stored, _, _, new, *_ in rows if new}
    have = {stored: new for new, stored in sorted_.names.items()}
    if identifier in JOINED:
        want = {stored: new for stored, new in want.items() if ".qkv." not in new}
        have = {stored: new for stored, new in have.items() if stored in want}
    # what the manifest calls dropped, but is kept: classifiers of supervised networks, and biases that are folded
    more = {stored: new for stored, new in have.items() if stored not in want}
    assert {stored: have.get(stored) for stored in want} == want
    if rules.steps:
        assert all(new.endswith(".bias") for new in more.values())
    else:
        assert all(
            rules.head and new.rpartition(".")[0].split(".")[0] in ("fc", "head", "classifier") for new in more.values()
        )


@pytest.mark.parametrize("identifier", [name for name in MANIFESTS if name not in TWO_NETWORKS])
def test_no_format_takes_a_siblings_file(identifier):
    found = {row[0]: tuple(row[1]) for row in builder().manifest(identifier)["tensors"]}
    taken = {name for name, rules in FORMATS.items() if name != "timm" and fits(found, rules)}
    allowed = set().union({identifier}, *(group for group in ALIKE if identifier in group))
    assert identifier in taken and taken <= allowed


def compare_with_upstream(tmp_path, identifier, legacy=None):
    file = built(identifier, tmp_path / "file.bin", legacy)
    folder = convert_entry(entry_of(identifier), file, tmp_path / "folder")
    batch = torch.from_numpy(builder().input_tensor(identifier))
    if identifier in BGR:
        batch = batch.flip(1)  # upstream's network took BGR; ours takes RGB
    want = builder().expected(identifier)
    for model in (
        medzoo.load(str(folder)),
        timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval(),
    ):
        with torch.inference_mode():
            have = model(batch).numpy()
        assert np.abs(have - want).max() <= 1e-5 * max(1, np.abs(want).max())
    assert "sha256" in (folder / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "identifier", [pytest.param(name, marks=[pytest.mark.long] * (name in REPEATED)) for name in GOLDEN]
)
def test_converted_files_compute_what_upstream_computes(tmp_path, identifier):
    compare_with_upstream(tmp_path, identifier, legacy=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("identifier", "legacy"),
    [
        # a file of full size; test_sandbox.py converts a small file of this layout in a process of its own
        pytest.param("moco-v2", True, marks=pytest.mark.long, id="torch's old layout"),
        pytest.param("torchxrayvision-densenet121", True, id="a pickled network"),
        pytest.param("keras-resnet50", False, id="HDF5"),
    ],
)
def test_files_of_every_kind_are_converted_in_a_process_of_their_own(tmp_path, identifier, legacy, apart):
    compare_with_upstream(tmp_path, identifier, legacy)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("identifier", [name for name in MANIFESTS if name not in {*GOLDEN, *TWO_NETWORKS, *JOINED}])
def test_values_come_through_whole(tmp_path, identifier):
    """Formats without features at hand: every tensor, in the manifest's place."""
    folder = convert_entry(entry_of(identifier), built(identifier, tmp_path / "file.bin"), tmp_path / "folder")
    have, manifest = load_file(folder / "model.safetensors"), builder().manifest(identifier)
    content, compared = dict(builder().content(manifest)), 0
    for stored, shape, _, name, note in manifest["tensors"]:
        if not name or (name in ("cls_token", "pos_embed") and identifier.endswith("reg4")):
            continue
        want = torch.from_numpy(np.ascontiguousarray(content[stored])).reshape(shape)
        if note and "transpose" in note:
            want = want.permute(3, 2, 0, 1)
        elif note and "reshape" in note:
            want = want.reshape(-1)
        elif note and "minus the bias" in note:
            continue
        if identifier in BGR and want.ndim == 4 and want.shape[1] == 3:
            want = want.flip(1)
        if (
            name.endswith("running_mean")
            and FORMATS[identifier].steps
            and f"{stored.removesuffix('.running_mean')}" in name
        ):
            continue  # the bias of the convolution before is in it
        assert torch.equal(have[name], want.to(have[name].dtype)), name
        compared += 1
    assert compared > 30


def test_query_key_and_value_keep_their_order():
    """Three layers become one, in every block; the tensors are small, their names are the manifest's."""
    names = [row[0] for row in builder().manifest("rad-dino-hf")["tensors"]]
    stored = {name: torch.full((2, 2) if name.endswith(".weight") else (2,), float(n)) for n, name in enumerate(names)}
    converted = apply(stored, FORMATS["rad-dino-hf"])
    joined = [name for name in converted if ".qkv." in name]
    assert len(joined) == 24
    for name in joined:
        _, block, *_, kind = name.split(".")
        parts = [
            stored[f"encoder.layer.{block}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")
        ]
        assert torch.equal(converted[name], torch.cat(parts)), name


@pytest.mark.long  # a network of 86 million parameters at 518 pixels, for what the test above shows on small tensors
@pytest.mark.slow
def test_a_whole_file_keeps_the_order_of_query_key_and_value(tmp_path):
    file = built("rad-dino-hf", tmp_path / "model.safetensors")
    folder = convert_entry(entry_of("rad-dino-hf"), file, tmp_path / "folder")
    have, want = load_file(folder / "model.safetensors"), load_file(file)
    for place, part in enumerate(("query", "key", "value")):
        stored = want[f"encoder.layer.7.attention.attention.{part}.weight"]
        assert torch.equal(have["blocks.7.attn.qkv.weight"][768 * place : 768 * (place + 1)], stored)


def quick_fill(key, shape, **_):
    """Content that costs little: a file is refused for its names and shapes, which are the real ones."""
    return np.resize(np.random.RandomState(0).standard_normal(4099), shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("radimagenet-torch-resnet50", "resnet50-mocov2-imagenet"), ("moco-v1", "resnet50-mocov2-imagenet"),
        ("pcl-v2", "resnet50-mocov2-imagenet"), ("mae-finetune", "vit_base-mae-imagenet"),
        ("dinov2-vitb14-reg4", "vit_base-dinov2-lvd142m"), ("keras-densenet121", "resnet50-radimagenet_keras"),
        ("radnet-finetuned-classifier", "resnet50-simclr-radnet12m"), ("dino-vit-small16-backbone", "vit_base-dino-imagenet"),
        ("swin-tiny", "swin_small-imagenet"), ("jliang-imagenet-chexpert", "resnet50-imagenet-chestxray14"),
        ("jliang-imagenet-chestxray14", "resnet50-chexpert"),
    ],
)  # fmt: skip
def test_a_file_of_another_checkpoint_is_refused(tmp_path, monkeypatch, identifier, name):
    monkeypatch.setattr(builder(), "fill", quick_fill)
    file = built(identifier, tmp_path / "file.bin")
    with pytest.raises(ConversionError):
        medzoo.convert(file, name, out=tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
