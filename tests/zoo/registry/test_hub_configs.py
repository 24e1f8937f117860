"""The entries of hub_configs, held to the grammar of names, to timm, and to what their licences allow."""

import re

import pytest

import medzoo
from medzoo import paths
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.licenses import NONCOMMERCIAL, known_license
from medzoo.zoo.registry.locations import next_step

# what may be done with the weights: published again; that, non-commercially; converted from one's own copy; made by a recipe
TERMS = {
    kind: names.split()
    for kind, names in {
        "yes": """
        resnet18-random resnet50-random vit_small-random vit_base-random resnet18-imagenet resnet50-imagenet
        resnet50-imagenet_keras resnet101-imagenet resnet152-imagenet densenet121-imagenet inception_v3-imagenet
        swin_tiny-imagenet swin_small-imagenet swin_base-imagenet convnext_tiny-imagenet convnext_small-imagenet
        convnext_base-imagenet deit_tiny-imagenet deit_small-imagenet deit_base-imagenet vit_small-imagenet
        vit_base-imagenet vit_base-imagenet21k vit_base-imagenet_sam beit_base-imagenet22k swin_base-imagenet22k
        resnet50-insdis-imagenet resnet50-pclv1-imagenet resnet50-pclv2-imagenet resnet50-pirl-imagenet
        resnet50-infomin-imagenet resnet50-simclrv1-imagenet resnet50-simclrv2-imagenet
        resnet50-barlowtwins-imagenet vit_small-dino-imagenet vit_base-dino-imagenet vit_base-simmim-imagenet
        swin_base-simmim-imagenet vit_base-dinov2-lvd142m densenet121-cxr_all_xrv
        """,
        "nc": """
        resnet50-mocov1-imagenet resnet50-mocov2-imagenet resnet50-byol-imagenet resnet50-selav2-imagenet
        resnet50-deepclusterv2-imagenet resnet50-swav-imagenet resnet50-mocov3-imagenet
        vit_small-mocov3-imagenet vit_base-mocov3-imagenet vit_base-mae-imagenet resnet50-simclr-imagenet_jonske
        resnet50-simclr-radnet1m resnet50-simclr-radnet12m resnet50-simclr-imagenet-radnet1m
        resnet50-simclr-imagenet_radnet1m
        """,
        "no": """
        vit_base-dinov2-cxr_raddino resnet50-inat2021 resnet50-inat2021_scratch resnet50-inat2021mini
        resnet50-inat2021mini_scratch resnet50-inat2018 resnet50-swav-inat2021mini resnet50-mocov2-inat2021mini
        resnet50-radimagenet densenet121-radimagenet inception_v3-radimagenet resnet50-radimagenet_keras
        densenet121-radimagenet_keras inception_v3-radimagenet_keras inception_resnet_v2-radimagenet_keras
        resnet50-chestxray14 resnet50-chexpert resnet50-imagenet-chestxray14 resnet50-imagenet-chexpert
        resnet50-imagenet-mimic swin_base-imagenet-mimic convnext_base-imagenet-mimic
        swin_base-simmim-imagenet-cxr926k swin_base-simmim-imagenet-chestxray14 swin_base-simmim-cxr926k
        swin_base-simmim-chestxray14 vit_small-sit-imagenet
        """,
        "recipe": """
        resnet50-mocov3-imagenet-mimic vit_small-mocov3-imagenet-mimic vit_small-mocov3-chestxray14
        vit_small-sit-imagenet-mimic vit_small-gmml-imagenet-chestxray14 vit_small-gmml-imagenet-mimic
        vit_small-gmml-imagenet-oct vit_small-gmml-imagenet-covidxct
        """,
    }.items()
}
NAMES = [name for names in TERMS.values() for name in names]
EXTRAS = {"resnet10t-random", "resnet18_cifar-random", "unet-random"}
WEIGHTS = [name for name in NAMES if not name.endswith("-random")]
# a data token that says more than which images: the training framework, the objective's variant, the start, the trainer
DATA = {
    "imagenet_keras": "imagenet", "imagenet_sam": "imagenet", "imagenet_jonske": "imagenet", "inat2021_scratch": "inat2021",
    "inat2021mini_scratch": "inat2021mini", "radimagenet_keras": "radimagenet",
}  # fmt: skip
# SimMIM's ViT-B is built as BEiT's is: relative position bias, no position embedding
OTHER_FAMILY = {"vit_base-simmim-imagenet": "beit_base"}
# nobody here saw the file, and no manifest of it exists
SECTIONS = ["model", "input", "pretraining", "upstream", "license", "citation", "golden", "hub"]


def test_the_ninety_are_here():
    assert len(NAMES) == len(set(NAMES)) == 90
    assert set(registry.names()) == set(NAMES) | EXTRAS


def test_names_and_aliases_are_unique():
    entries = [medzoo.info(name) for name in registry.names()]
    known = [known for entry in entries for known in (entry.name, *entry.alias)]
    assert len(known) == len(set(known))
    assert all(registry.NAME.fullmatch(name) for name in known)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("resnet50-in1k", "resnet50-imagenet"),
        ("resnet50-swav", "resnet50-swav-imagenet"),
        ("resnet50-moco-v2", "resnet50-mocov2-imagenet"),
        ("resnet50-radnet-ct", "resnet50-simclr-radnet12m"),
        ("resnet50-radimagenet-pt", "resnet50-radimagenet"),
        ("vit_base-mae", "vit_base-mae-imagenet"),
        ("vit-s16-gmml-in1k-nih", "vit_small-gmml-imagenet-chestxray14"),
    ],
)
def test_people_find_it_under_the_name_they_know(alias, name):
    assert medzoo.info(alias).name == name and name in medzoo.list_models(alias)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_reads_well(name):
    text = (paths.data_dir("hub_configs") / f"{name}.toml").read_text()
    first, second = text.splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".") and second.startswith("architecture = ")
    sections = re.findall(r"^\[(\w+)\]$", text, re.MULTILINE)
    assert sections == [section for section in SECTIONS if section in sections]
    assert "http://" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_name_says_what_it_is(name):
    entry = medzoo.info(name)
    family, *rest = name.split("-")
    wanted = OTHER_FAMILY.get(name, family)
    assert entry.architecture == wanted or entry.architecture.startswith(f"{wanted}_")
    if entry.random:
        assert rest == ["random"] and entry.pretraining is None
        return
    past = entry.pretraining
    method, data = ("supervised", rest) if past.method == "supervised" else (rest[0], rest[1:])
    assert past.method == method
    assert list(past.data) == [DATA.get(token, token) for token in data]
    assert past.modalities and [step["data"] for step in entry.lineage()] == list(past.data)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_fits_the_network(name):
    entry = medzoo.info(name)
    shape, facts = entry.input, entry.facts
    assert facts, "run python -m medzoo.zoo.models.architectures"
    if facts["fixed_size"]:
        assert shape.size == entry.model.kwargs.get("img_size", facts["size"])
    assert shape.channels == (1 if name == "densenet121-cxr_all_xrv" else 3)
    assert (shape.rule == "per_image_minmax") == (
        entry.pretraining is not None and entry.pretraining.method == "simclr"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if medzoo.info(name).model.kwargs])
def test_timm_takes_the_keywords(name):
    import timm
    import torch

    entry = medzoo.info(name)
    with torch.device("meta"):
        model = timm.create_model(entry.architecture, num_classes=0, **entry.model.kwargs)
        assert model(torch.zeros(1, 3, entry.input.size, entry.input.size)).shape == (1, model.num_features)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_format_is_known(name):
    from medzoo.zoo.convert.formats import FORMATS

    source = medzoo.info(name).upstream
    assert set(source.also) <= set(FORMATS)
    if source.access == "recipe":
        assert source.format is None
    else:
        assert source.format in FORMATS


@pytest.mark.parametrize("name", [name for name in WEIGHTS if medzoo.info(name).upstream.format == "timm"])
def test_timm_says_the_same(name):
    import timm

    entry = medzoo.info(name)
    theirs = timm.get_pretrained_cfg(entry.upstream.hub.removeprefix("timm/"))
    shape = entry.input
    assert theirs.hf_hub_id == entry.upstream.hub and theirs.architecture == entry.architecture
    assert theirs.license == entry.license.id.lower()
    assert (theirs.mean, theirs.std, theirs.input_size) == (shape.mean, shape.std, (3, shape.size, shape.size))
    assert (theirs.interpolation, theirs.crop_pct) == (shape.interpolation, shape.crop_pct)


@pytest.mark.parametrize("name", NAMES)
def test_the_licence_is_stated(name):
    terms = medzoo.info(name).license
    assert known_license(terms.id)
    assert terms.url or terms.id == "unknown"
    assert terms.note or terms.id not in ("unknown", "other")
    assert terms.redistributable == (name in TERMS["yes"] + TERMS["nc"])
    assert bool(NONCOMMERCIAL.search(terms.id.lower())) == (name in TERMS["nc"])
    assert terms.needs_acceptance == (name not in TERMS["yes"])


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_cited(name):
    paper = medzoo.info(name).citation
    assert paper.title and paper.authors and 2015 <= paper.year <= 2026 and paper.paper.startswith("https://")


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_way_to_the_file_ends_with_a_next_step(name):
    entry = medzoo.info(name)
    source, told = entry.upstream, entry.upstream.instructions
    assert (source.access == "recipe") == (name in TERMS["recipe"])
    if source.access == "direct":
        assert told is None and (source.url or "").startswith("https://") != bool(source.hub)
    elif source.access == "manual":
        assert source.url.startswith("https://")
        assert f"`medzoo convert {source.file} {name}`" in next_step(entry) or source.format is None
        assert source.file and told.endswith(".")
    else:
        _check_recipe(entry, told)


def _check_recipe(entry, told):
    from medzoo.training.options.pretrain_protocol import read_pretrain_protocol

    (command,) = re.findall(r"`(accelerate launch [^`]+)`", told)
    script = command.split()[2]
    assert (paths.data_dir("recipes") / script.removeprefix("recipes/")).is_file()
    options = dict(re.findall(r"--([a-z-]+) ([^-\s]\S*)", command))
    assert read_pretrain_protocol(options["protocol"])["method"] == entry.pretraining.method
    assert options["name"] == entry.name and int(options["epochs"]) == entry.pretraining.epochs
    if base := options.get("checkpoint"):
        start = medzoo.info(base)
        assert start.pretraining.data == entry.pretraining.data[:-1] and start.model == entry.model
        assert (start.input.mean, start.input.std) == (entry.input.mean, entry.input.std)
        assert ("--accept-license" in command) == start.license.needs_acceptance
    else:
        assert registry.is_known(f"{options['architecture']}-random")
    assert told.endswith(f"{options['out']}/checkpoint.")
