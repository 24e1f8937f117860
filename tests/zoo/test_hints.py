"""Names and files that are nearly right lead on to the next step."""

import pytest

import medzoo
from medzoo.errors import UnknownNameError, UsageError
from medzoo.zoo.add import add
from medzoo.zoo.hints import owners, published_files

FACTS = {"license": "mit", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize("call", [medzoo.load, medzoo.fetch, medzoo.check, medzoo.transform])
def test_a_weights_file_leads_to_convert_and_add(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.bin").write_bytes(b"x")
    (tmp_path / "weights").mkdir()
    for name in ("ResNet50.pt", "resnet50.PTH", "best.bin", "./best.bin", str(tmp_path / "best.bin"), "weights/no.pth"):
        with pytest.raises(UsageError, match=r"weights file.*medzoo convert.*medzoo add") as caught:
            call(name)
        assert name in str(caught.value)
    with pytest.raises(UsageError, match=r"`medzoo convert ResNet50\.pt resnet50-radimagenet`"):
        call("ResNet50.pt")


def test_folders_repositories_and_plain_typos_are_not_taken_for_files(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename(tmp_path / "run.pt")
    assert medzoo.load("run.pt").load_receipt.name == "test_resnet-drawn"
    with pytest.raises(UnknownNameError, match="Did you mean resnet50-imagenet"):
        medzoo.load("resnet50-imagnet")
    with pytest.raises(medzoo.errors.WeightsUnavailableError):
        medzoo.load("org/name.pt", local_files_only=True)


@pytest.mark.parametrize("typed", ["ResNet50-ImageNet", "RESNET50-IMAGNET"])
def test_capitals_are_no_other_name(typed):
    with pytest.raises(UnknownNameError, match="Did you mean resnet50-imagenet"):
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
