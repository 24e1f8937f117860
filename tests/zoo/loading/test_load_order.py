"""Which copy of the weights is taken, what is proved on the way, and what a load leaves alone."""

import shutil

import pytest
import torch
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import IntegrityError
from medzoo.zoo.download import huggingface, upstream
from medzoo.zoo.folder.read_write import read_folder, write_folder
from medzoo.zoo.models import build
from medzoo.zoo.registry.locations import cached_folder

DIRECT = 'access = "direct"\nurl = "https://example.org/x.safetensors"'


@pytest.fixture
def nobody(monkeypatch):
    """Neither the Hub nor a site may be asked."""
    monkeypatch.setattr(huggingface, "look_up", lambda *a, **k: pytest.fail("the Hub was asked"))
    monkeypatch.setattr(upstream, "download", lambda *a, **k: pytest.fail("a site was asked"))


def test_the_cache_comes_before_the_directory_hub(entry, pristine, tmp_path, nobody, monkeypatch):
    """Then the directory hub and nothing else; and what is asked with a revision is not taken from the cache."""
    name = entry(DIRECT)
    shutil.copytree(pristine, cached_folder(name))
    other = medzoo.save(small_model(seed=7), tmp_path / "hub" / "medzoo" / name, card=CARD)
    here, there = (medzoo.load(str(folder)).load_receipt.sha256 for folder in (cached_folder(name), other))
    assert here != there and medzoo.load(name, hub=tmp_path / "hub").load_receipt.sha256 == here
    monkeypatch.setenv("MEDZOO_HUB", str(tmp_path / "hub"))
    assert medzoo.load(name).load_receipt.sha256 == here
    shutil.rmtree(cached_folder(name))
    assert medzoo.load(name).load_receipt.sha256 == there


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,) * 3, (0.25,) * 3), ((0.4, 0.5, 0.6), (0.25,) * 3), ((0.5,) * 3, (0.2, 0.25, 0.3))]
)
def test_a_grey_stem_is_the_same_function_where_the_channels_share_mean_and_std(tmp_path, mean, std):
    """And says so where they do not; of two channels it never is."""
    card = {**CARD, "input": {**CARD["input"], "mean": list(mean), "std": list(std)}}
    folder = medzoo.save(small_model(), tmp_path / "f", card=card)
    grey, colour = medzoo.load(str(folder), in_chans=1), medzoo.load(str(folder))
    same = len(set(mean)) == len(set(std)) == 1
    assert any("not the same function" in note for note in grey.load_receipt.notes) is not same
    assert any("not the same function" in note for note in medzoo.load(str(folder), in_chans=2).load_receipt.notes)
    image = (torch.rand(64, 64) * 255).byte().numpy()
    with torch.inference_mode():
        one, other = (model(medzoo.transform(model)(image)[None]) for model in (grey, colour))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-4) is same


@pytest.mark.parametrize("arguments", [{}, {"num_classes": "pretrained"}, {"in_chans": 1}])
def test_a_network_that_has_to_be_built_first_draws_nothing_either(folder, monkeypatch, arguments):
    """Some networks cannot be filled on the meta device; theirs is the slow way, with the same result."""
    quick = medzoo.load(str(folder), **arguments)
    monkeypatch.setattr(build, "fill", lambda model, state: False)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    slow = medzoo.load(str(folder), **arguments)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(tensor, quick.state_dict()[name]) for name, tensor in slow.state_dict().items())


def test_a_copy_that_came_out_wrong_is_not_left(folder, tmp_path, monkeypatch):
    """A disk may write other bytes than it was given."""
    copy = shutil.copyfile

    def damaging(source, target, **options):
        copy(source, target, **options)
        if target.name == "model.safetensors":
            content = bytearray(target.read_bytes())
            content[-1] ^= 1
            target.write_bytes(content)

    monkeypatch.setattr(shutil, "copyfile", damaging)
    with pytest.raises(IntegrityError):
        medzoo.fetch(str(folder), to=tmp_path / "stick")
    assert not list((tmp_path / "stick").rglob("*.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_no_folder_is_written_of_numbers_that_are_none(folder, tmp_path, value):
    state = {name: tensor.clone() for name, tensor in small_model().state_dict().items()}
    state["layer1.0.conv1.weight"][0] = value
    with pytest.raises(IntegrityError):
        write_folder(state, tmp_path / "out", read_folder(folder))
    assert not (tmp_path / "out").exists()
