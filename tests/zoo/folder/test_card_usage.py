"""The examples of a card: one for each library that can read the weights."""

import ast

import pytest

from medzoo.zoo.folder.card import render_entry
from medzoo.zoo.folder.card_usage import code_examples
from medzoo.zoo.registry.locations import trained_folder
from medzoo.zoo.registry.registry import info, shipped

ENTRIES = shipped()


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_every_checkpoint_has_code_that_parses(entry):
    found = code_examples(entry)
    for code in filter(None, (found.medzoo, found.timm, found.transformers)):
        ast.parse(code)
    assert entry.name in found.medzoo and bool(found.timm) == bool(found.transformers) == (not entry.random)
    if entry.facts["variant"] and not entry.random:
        assert all("import medzoo.zoo.variants" in code for code in (found.timm, found.transformers))
    if trained_folder(entry) is None:
        assert ("accept_license=True" in found.medzoo) == entry.license.needs_acceptance
        card = render_entry(entry)
        assert all(code in card for code in (found.medzoo, found.timm, found.transformers))


def test_a_checkpoint_of_a_recipe_is_loaded_from_the_folder_of_its_run():
    found = code_examples(info("vit_small-mocov3-chestxray14"))
    folder = "runs/vit_small-mocov3-chestxray14/checkpoint"
    assert trained_folder(info("vit_small-mocov3-chestxray14")) == folder
    assert f'load("{folder}")' in found.medzoo and f"local-dir:{folder}" in found.timm and folder in found.transformers
    assert "fetch" not in found.timm + found.transformers
    assert trained_folder(info("resnet50-radimagenet")) is trained_folder(info("resnet50-random")) is None


@pytest.mark.slow
def test_the_code_for_a_recipe_runs_on_the_folder_of_a_run(tmp_path, monkeypatch):
    """Any network will do: the code names only the folder."""
    import timm
    import torch

    import medzoo

    entry, model = info("vit_small-gmml-imagenet-oct"), timm.create_model("test_resnet", num_classes=0).eval()
    card = {"name": "test_resnet-ours", "license": "mit", "data": ["ours"]}
    medzoo.save(model, tmp_path / trained_folder(entry), card=card)
    monkeypatch.chdir(tmp_path)
    image, found = torch.rand(1, 3, 64, 64), code_examples(entry)
    for code in (found.medzoo, found.timm, found.transformers):
        made = {}
        exec(compile(code, "example", "exec"), made)
        answer = made["model"].eval()(image)
        assert torch.allclose(getattr(answer, "pooler_output", answer), model(image), atol=1e-5), code


def test_what_only_medzoo_does_with_an_image_is_a_note():
    assert "clipping of Hounsfield units" in code_examples(info("resnet50-simclr-radnet12m")).note
    assert code_examples(info("resnet50-imagenet")).note == ""
