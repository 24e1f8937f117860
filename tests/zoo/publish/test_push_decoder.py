"""A folder with a trained decoder: pushed, fetched and copied as a whole, verified, and refused if the decoder is damaged."""

import torch
from expect import raises
from huggingface_hub import HfApi

import medzoo
from medzoo.errors import IntegrityError
from medzoo.zoo.folder.card_checks import problems
from medzoo.zoo.publish.push import plan_push


def outputs(name, **where):
    with torch.inference_mode():
        return medzoo.segmenter(name, **where)(torch.ones(1, 3, 64, 64) / 3)


def test_to_the_hub_and_back(segmentation_folder, hub_server):
    hub_server.members["org"] = {hub_server.owner}
    assert "decoder.safetensors" in plan_push(segmentation_folder.parent, "org/vessels").describe()
    medzoo.push(segmentation_folder.parent, "org/vessels")
    files = {row.rfilename for row in HfApi().repo_info("org/vessels", files_metadata=True).siblings}
    assert {"decoder.safetensors", "model.safetensors", "config.json", "README.md"} <= files
    assert torch.equal(outputs("hf-hub:org/vessels"), outputs(str(segmentation_folder)))
    card = (segmentation_folder / "README.md").read_text()
    assert (
        "medzoo.segmenter(" in card and "image-segmentation" in card and "vessel" in card and not list(problems(card))
    )
    assert medzoo.load("org/vessels")(torch.zeros(1, 3, 64, 64)).ndim == 2  # the encoder alone
    assert "org/vessels" in medzoo.push(segmentation_folder.parent, "org/vessels")


def test_through_directory_hubs(segmentation_folder, tmp_path):
    medzoo.push(segmentation_folder.parent, "lab/vessels", hub=tmp_path / "stick")
    assert torch.equal(outputs("lab/vessels", hub=tmp_path / "stick"), outputs(str(segmentation_folder)))
    copy = medzoo.fetch(str(segmentation_folder), to=tmp_path / "other")
    assert torch.equal(outputs(str(copy)), outputs(str(segmentation_folder)))


def test_a_damaged_or_missing_decoder_is_not_pushed(segmentation_folder, tmp_path):
    file = segmentation_folder / "decoder.safetensors"
    content = file.read_bytes()
    for damage, code in (
        (content[:-1] + bytes([content[-1] ^ 1]), "decoder-hash-wrong"),
        (None, "decoder-file-missing"),
    ):
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        for hub in (tmp_path / "stick", None):
            with raises(IntegrityError, code):
                medzoo.push(segmentation_folder.parent, "lab/vessels", hub=hub, dry_run=hub is None)
        assert not (tmp_path / "stick" / "lab" / "vessels").exists()
