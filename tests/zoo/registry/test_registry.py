import fnmatch
import subprocess
import sys
from pathlib import Path

import pytest
from expect import raises

import medzoo
from medzoo.errors import RegistryError, UnknownNameError
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.registry import registry

NAMES = registry.names()


def test_the_entries_are_here():
    wanted = ["resnet18-random", "resnet18_cifar-random", "resnet50-imagenet", "resnet50-mocov2-imagenet"]
    assert set(wanted) <= set(NAMES) and medzoo.list_models() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_whole(name):
    entry = medzoo.info(name)
    assert entry.name == name and entry.facts["parameters"] > 0
    assert "license" in entry.to_dict() and name in repr(entry)
    if entry.upstream:
        # weights without a known layout are those that nobody can download: made here, or handed over by their authors
        assert entry.upstream.format in FORMATS or entry.upstream.access in ("recipe", "manual")
        assert entry.upstream.access == "direct" or entry.upstream.instructions
        steps = entry.lineage()
        assert [step["data"] for step in steps] == list(entry.pretraining.data)
    else:
        assert entry.lineage() == ()


def test_list_is_natural_and_filtered():
    assert NAMES.index("resnet18-random") < NAMES.index("resnet50-random")
    assert medzoo.list_models("resnet50-*") == fnmatch.filter(NAMES, "resnet50-*")
    assert "resnet50-mocov2-imagenet" in medzoo.list_models(method="MoCoV2", data="imagenet", license="cc-by-nc*")
    assert medzoo.list_models(redistributable=False, architecture="resnet50", modality="ct") == ["resnet50-radimagenet"]
    assert "resnet50-random" in medzoo.list_models(downloaded=True)
    assert "resnet50-radimagenet" not in medzoo.list_models(downloaded=True)
    assert medzoo.list_models(method="nothing") == []


@pytest.mark.parametrize("typo", ["resnet50-imagnet", "resnet50_imagenet"])
def test_a_typo_gets_a_hint(typo):
    with raises(UnknownNameError, "unknown-checkpoint") as caught:
        medzoo.info(typo)
    assert caught.value.near


def test_whether_a_name_is_known_is_asked_without_a_hint(monkeypatch):
    """The search for near names takes 10 ms, and tables ask for each of their names."""
    monkeypatch.setattr(registry, "UnknownNameError", None)
    assert registry.is_known("resnet50-radnet-ct") and registry.is_known("resnet34-random")
    assert not registry.is_known("resnet50-imagnet") and not registry.is_known("org/resnet50-imagenet")


def test_alias(entry):
    name = entry('access = "direct"\nurl = "https://example.org/x"')
    path = registry.config_dir() / f"{name}.toml"
    path.write_text('alias = ["test_resnet-old"]\n' + path.read_text())
    assert medzoo.info("test_resnet-old").name == name
    assert medzoo.list_models("*-old") == [name]


GOOD = """architecture = "resnet18"
[input]
size = 224
mean = [0.1, 0.2, 0.3]
std = [1.0, 1.0, 1]
[license]
id = "MIT"
redistributable = true
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("size", "sizes"), "unknown-key"),
        (("[license]", "[licence]"), "unknown-key"),
        (("224", '"224"'), "wrong-type"),
        (("224", "true"), "wrong-type"),
        (("[0.1, 0.2, 0.3]", "[0.1]"), "input-invalid"),
        (('"MIT"', '"free"'), "license-unknown"),
        (("redistributable = true\n", ""), "missing-key"),
        (("architecture", 'name = "x"\narchitecture'), "unknown-key"),
        (("[input]", "[input]\nrule = 'none'"), "not-a-choice"),
        (("[input]", "[input]\nchannels = 2"), "not-a-choice"),
        (("[input]", "[input"), "invalid-toml"),
        (("[license]", "[upstream]\nformat='timm'\naccess='direct'\n[license]"), "upstream-incomplete"),
        (("[license]", "[pretraining]\ndata=['x']\nimages=0\n[license]"), "count-below-one"),
        (("[license]", "[pretraining]\ndata=['x']\nepochs=-1\n[license]"), "count-below-one"),
        (("[license]", "[hub]\nrepo='a'\nrevision='1'\nsha256='2'\nsize=1\n[license]"), "random-name"),
    ],
)
def test_a_broken_entry_names_file_and_key(tmp_path: Path, change, says):
    path = tmp_path / "resnet18-random.toml"
    path.write_text(GOOD)
    assert registry.read_checkpoint(path).random
    path.write_text(GOOD.replace(*change))
    with raises(RegistryError, says) as caught:
        registry.read_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("stem", ["ResNet18-random", "resnet18", "resnet18--random", "resnet18-a.b", "-random", "a-b_"])
def test_a_name_outside_the_grammar(tmp_path: Path, stem):
    path = tmp_path / f"{stem}.toml"
    path.write_text(GOOD)
    with raises(RegistryError, "invalid-checkpoint-name"):
        registry.read_checkpoint(path)


@pytest.fixture
def own(private_home) -> Path:
    folder = private_home / "hub_configs"
    folder.mkdir(parents=True)
    return folder


def test_own_entries_stand_beside_the_shipped(own):
    (own / "resnet18-mine-random.toml").write_text(GOOD)
    assert "resnet18-mine-random" in medzoo.list_models() and medzoo.info("resnet18-mine-random").random
    assert len(medzoo.list_models()) == len(NAMES) + 1


def test_own_entries_cannot_take_a_shipped_name(own):
    (own / "resnet50-imagenet.toml").write_text(GOOD)
    assert medzoo.list_models() == NAMES and not medzoo.info("resnet50-imagenet").random


def test_a_broken_own_entry_does_not_break_the_others(own):
    (own / "resnet18-broken.toml").write_text("architecture = ")
    with pytest.warns(UserWarning, match=r"resnet18-broken\.toml"):
        assert medzoo.list_models() == NAMES
    with raises(RegistryError, "invalid-toml", match=r"resnet18-broken\.toml"):
        medzoo.info("resnet18-broken")
    with pytest.warns(UserWarning, match=r"resnet18-broken\.toml"), pytest.raises(UnknownNameError):
        medzoo.info("resnet18-nothing")


def test_frozen_and_plain():
    entry = medzoo.info("resnet50-radimagenet")
    with pytest.raises(AttributeError):
        entry.name = "x"
    rows = entry.to_dict()
    assert rows["input"]["mean"] == [0.5, 0.5, 0.5] and rows["license"]["redistributable"] is False
    assert "golden" not in rows  # an unknown fact is an absent key


def test_no_torch():
    code = (
        "import sys, medzoo; medzoo.list_models(); medzoo.info('resnet50-radimagenet'); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
