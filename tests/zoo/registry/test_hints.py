"""Names and files that are nearly right lead on to the next step."""

from pathlib import Path

import pytest
from expect import raises
from typer.testing import CliRunner

import medzoo
from medzoo.cli import app
from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, UsageError, WeightsUnavailableError
from medzoo.training.pretrain_options import PretrainOptions
from medzoo.zoo.add import add
from medzoo.zoo.folder.card import card_of
from medzoo.zoo.loading.load import describe
from medzoo.zoo.registry.hints import owners, published_files, refuse_unknown_architecture

FACTS = {"license": "mit", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize("call", [medzoo.load, medzoo.fetch, medzoo.check, medzoo.transform])
def test_a_weights_file_leads_to_convert_and_add(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.bin").write_bytes(b"x")
    (tmp_path / "weights").mkdir()
    for name in ("ResNet50.pt", "resnet50.PTH", "best.bin", "./best.bin", str(tmp_path / "best.bin"), "weights/no.pth"):
        with raises(UsageError, "file-instead-of-checkpoint") as caught:
            call(name)
        assert name in str(caught.value)
    with raises(UsageError, "file-instead-of-checkpoint", match=r"`medzoo convert ResNet50\.pt resnet50-radimagenet`"):
        call("ResNet50.pt")


def test_folders_repositories_and_plain_typos_are_not_taken_for_files(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename(tmp_path / "run.pt")
    assert medzoo.load("run.pt").load_receipt.name == "test_resnet-drawn"
    with raises(UnknownNameError, "unknown-checkpoint"):
        medzoo.load("resnet50-imagnet")
    with pytest.raises(medzoo.errors.WeightsUnavailableError):
        medzoo.load("org/name.pt", local_files_only=True)


@pytest.mark.parametrize("call", [medzoo.load, medzoo.info])
def test_an_architecture_leads_to_its_random_weights(call):
    with raises(
        UnknownNameError, "unknown-checkpoint", match="an architecture, not a checkpoint; vit_small_patch16_224-random"
    ):
        call("vit_small_patch16_224")
    assert medzoo.info("vit_small_patch16_224-random").random
    with raises(UnknownNameError, "unknown-checkpoint", match="^(?!.*an architecture)"):
        call("no_such_network")


def test_an_unknown_architecture_leads_to_those_of_timm():
    with raises(UnknownNameError, "unknown-architecture", match="'convnextt'. Did you mean convnext_tiny") as caught:
        PretrainOptions(method="simclr", task="phantom_ct", architecture="convnextt", out="x").check()
    assert "-random" not in str(caught.value)
    for name in ("resnet18", "unet"):
        refuse_unknown_architecture(name)


@pytest.mark.parametrize("typed", ["ResNet50-ImageNet", "RESNET50-IMAGNET"])
def test_capitals_are_no_other_name(typed):
    with raises(UnknownNameError, "unknown-checkpoint"):
        medzoo.info(typed)


def test_published_names_come_from_the_facts(tmp_path, private_home):
    assert published_files(medzoo.info("resnet50-radimagenet")) == {"ResNet50.pt"}
    assert published_files(medzoo.info("resnet50-imagenet-chexpert")) == {"ImageNet_chexpert.pth.tar"}
    assert published_files(medzoo.info("resnet50-random")) == set()
    assert published_files(medzoo.info("resnet50-barlowtwins-imagenet")) == set()  # resnet50.pth says nothing
    assert owners("chexpert.pth.tar") == ["resnet50-chexpert"] and len(owners("encoder_pretrained.tar")) == 5
    assert owners("no such file") == []


def test_own_files_are_nobodys_published_name(tmp_path, private_home):
    import timm
    import torch

    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "mine.pth")
    add(tmp_path / "mine.pth", "test_resnet-ours", size=64, **FACTS)
    assert owners("mine.pth") == []


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working folder with files of many kinds, none of which is a checkpoint."""
    import numpy as np
    import timm
    import torch
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    torch.save(state, "zipped")
    torch.save(state, "legacy", _use_new_zipfile_serialization=False)
    save_file(state, "safe")
    np.savez("numbers.npz", a=np.zeros(3))
    (tmp_path / "numbers.npz").rename("numbers")
    (tmp_path / "hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    return tmp_path


@pytest.mark.parametrize("call", [medzoo.load, medzoo.fetch, medzoo.check, medzoo.transform])
def test_what_is_a_weights_file_is_told_by_its_content(call, files):
    import zipfile

    for name in ("zipped", "legacy", "safe", "numbers", "hdf5", "./safe", str(files / "zipped")):
        with raises(UsageError, "file-instead-of-checkpoint") as caught:
            call(name)
        assert not isinstance(caught.value, UnknownNameError)
    with zipfile.ZipFile("archive", "w") as packed:
        packed.writestr("notes.txt", "no weights")
    (files / "Makefile").write_text("all:\n\ttrue\n")
    (files / "empty").write_bytes(b"")
    (files / "short").write_bytes(b"\x80")
    (files / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (files / "cut").write_bytes(b"PK\x03\x04")
    for name in ("Makefile", "empty", "short", "picture", "archive", "cut", "./Makefile", str(files / "Makefile")):
        with raises(UnknownNameError, "unknown-checkpoint"):
            call(name)


def test_a_pointer_of_git_lfs_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"
    (tmp_path / "net.safetensors").write_text(pointer)
    with raises(UsageError, "git-lfs-pointer"):
        medzoo.load("net.safetensors")
    (folder / "model.safetensors").write_text(pointer)
    with raises(IntegrityError, "git-lfs-pointer"):
        medzoo.load(str(folder))


@pytest.mark.parametrize("kind", ["file", "folder", "checkpoint"])
@pytest.mark.parametrize("name", ["resnet18_cifar-random", "resnet50-radimagenet"])
def test_a_name_of_the_registry_wins_over_the_working_folder(folder, tmp_path, monkeypatch, kind, name):
    """And the path, written as a path, wins over the registry."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / name
    place.write_text("x") if kind == "file" else folder.rename(place) if kind == "checkpoint" else place.mkdir()
    named, facts = medzoo.info(name), describe(name)
    assert medzoo.transform(name).mean == named.input.mean and facts == named.input
    assert "test_resnet-drawn" not in card_of(name)
    if named.random:
        assert medzoo.load(name).load_receipt.folder is None and medzoo.check(name).folder is None
        assert medzoo.segmenter(name, 2).load_receipt.name == name
    else:
        with raises(WeightsUnavailableError, "manual-download"):
            medzoo.load(name)
    paths = (f"./{name}", place, Path(name), str(place), f"local-dir:{name}", f"{name}/", f"../{tmp_path.name}/{name}")
    for path in paths:
        if kind == "checkpoint":
            assert medzoo.load(path).load_receipt.name == "test_resnet-drawn"
            assert medzoo.check(path).name == "test_resnet-drawn"
            assert medzoo.transform(path).mean == (0.4, 0.5, 0.6)
        else:
            with pytest.raises(MedzooError) as caught:
                medzoo.load(path)
            assert name in str(caught.value)


def test_commands_take_the_registrys_name_too(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename(tmp_path / "resnet50-radimagenet")
    run = CliRunner().invoke
    assert "test_resnet" not in run(app, ["info", "resnet50-radimagenet"]).output
    assert "test_resnet-drawn" in run(app, ["info", "./resnet50-radimagenet"]).output
    assert "# test_resnet-drawn" not in run(app, ["card", "resnet50-radimagenet"]).output
    assert "# test_resnet-drawn" in run(app, ["card", "./resnet50-radimagenet"]).output
    (tmp_path / "nothing").mkdir()
    for command in ("info", "card"):
        assert isinstance(run(app, [command, "nothing"]).exception, IntegrityError)
