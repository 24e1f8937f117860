"""What conversion says and does around the reading: relative folders, other files' names, hashes, leftovers, next steps."""

import hashlib
import json
import os
import subprocess
import sys
import time

import pytest
import timm
import torch
from expect import raises
from zoo_samples import small_model

import medzoo
from medzoo.errors import ConversionError, UsageError
from medzoo.zoo.check.check import check
from medzoo.zoo.convert import sandbox

UPSTREAM = 'access = "manual"\ninstructions = "Ask."'
ASU = '[upstream]\nformat = "{}"\naccess = "direct"\nurl = "https://example.org/files/{}"'


def saved(path, value):
    torch.save(value, path)
    return path


@pytest.fixture
def siblings(configs):
    """Two checkpoints of one layout, whose files only their names tell apart, and a third whose name two share."""
    for name, file in (("test_resnet-one", "one.pth"), ("test_resnet-two", "two.pth"),
                       ("test_resnet-three", "encoder.tar"), ("test_resnet-four", "encoder.tar")):  # fmt: skip
        (configs / f"{name}.toml").write_text(
            'architecture = "test_resnet"\n[input]\nsize = 64\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n'
            f'[pretraining]\ndata = ["x"]\n[upstream]\nformat = "timm"\nfile = "{file}"\naccess = "manual"\n'
            'instructions = "Ask."\n[license]\nid = "mit"\nredistributable = true\n'
        )


def test_relative_folders_and_a_relative_home(entry, tmp_path, monkeypatch, apart):
    name = entry(UPSTREAM)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("MEDZOO_HOME", "home")
    saved(tmp_path / "work" / "w.pth", small_model().state_dict())
    assert medzoo.convert("w.pth", name, out="out/f") == tmp_path / "work" / "out" / "f"
    assert medzoo.convert("w.pth", name) == tmp_path / "work" / "home" / "checkpoints" / name
    assert medzoo.load("out/f").load_receipt.name == medzoo.load(name).load_receipt.name == name
    assert medzoo.load(name, hub="nowhere").load_receipt.folder == str(tmp_path / "work/home/checkpoints" / name)


def test_a_process_started_from_a_source_tree_finds_medzoo(tmp_path):
    """sys.path holds "" for python -c: the reading process works elsewhere."""
    file = saved(tmp_path / "w.pth", small_model().state_dict())
    code = f"from medzoo.zoo.convert.recognise import recognise; print(recognise({str(file)!r}))"
    root = os.path.dirname(os.path.dirname(medzoo.__file__))  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "['timm']", done.stderr


def test_a_file_with_anothers_published_name(siblings, tmp_path):
    state = small_model().state_dict()
    file = saved(tmp_path / "two.pth", state)
    with raises(UsageError, "file-of-other-checkpoint"):
        medzoo.convert(file, "test_resnet-one", out=tmp_path / "f")
    assert not (tmp_path / "f").exists()
    medzoo.convert(file, "test_resnet-two", out=tmp_path / "f")
    medzoo.convert(file.rename(tmp_path / "sure.pth"), "test_resnet-one", out=tmp_path / "g")
    medzoo.convert(
        saved(tmp_path / "encoder.tar", state), "test_resnet-one", out=tmp_path / "h"
    )  # a name that two share


def test_the_last_part_of_an_address_is_a_published_name():
    with raises(UsageError, "file-of-other-checkpoint"):
        medzoo.convert("chexpert.pth.tar", "resnet50-imagenet-chexpert")


@pytest.mark.parametrize("wrapped", [True, False])
def test_siblings_that_differ_by_a_prefix(configs, tmp_path, wrapped):
    """CheXpert's files are wrapped for several GPUs and ChestX-ray14's are not; MIMIC's may be either."""
    for name, format, also in (
        ("resnet50-nih", "jliang-imagenet-chestxray14", ""), ("resnet50-chex", "jliang-imagenet-chexpert", ""),
        ("resnet50-both", "jliang-imagenet-chestxray14", 'also = ["jliang-imagenet-chexpert"]\n'),
    ):  # fmt: skip
        (configs / f"{name}.toml").write_text(
            'architecture = "resnet50"\n[input]\nsize = 32\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n'
            f'[pretraining]\ndata = ["x"]\n{ASU.format(format, name)}\n{also}[license]\nid = "mit"\nredistributable = true\n'
        )
    model = timm.create_model("resnet50", num_classes=14)
    rows = {key.replace("fc.", "fc.0."): tensor for key, tensor in model.state_dict().items()}
    state = {f"module.{key}" if wrapped else key: tensor for key, tensor in rows.items()}
    file = saved(tmp_path / "w.pth.tar", {"epoch": 1, "state_dict": state})
    right, wrong = ("resnet50-chex", "resnet50-nih") if wrapped else ("resnet50-nih", "resnet50-chex")
    for name in (right, "resnet50-both"):
        folder = medzoo.convert(file, name, out=tmp_path / name)
        assert torch.equal(medzoo.load(str(folder)).conv1.weight, model.conv1.weight)
    with raises(ConversionError, "keys-without-rule"):
        medzoo.convert(file, wrong, out=tmp_path / "f")


@pytest.mark.parametrize("as_published", [True, False])
def test_another_hash_than_published_gives_a_warning(entry, tmp_path, capsys, as_published, private_home):
    file = saved(tmp_path / "w.pth", small_model().state_dict())
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if as_published else "0" * 64
    name = entry(f'{UPSTREAM}\nsha256 = "{digest}"')
    medzoo.convert(file, name)
    err = capsys.readouterr().err
    report = check(name)
    row = next(row for row in report.rows if row.check == "as published")
    notes = medzoo.load(name).load_receipt.notes
    assert report.passed and row.result == ("PASS" if as_published else "WARN")
    assert ("warning: the hash of w.pth" in err) == (not as_published)
    assert any("its hash is not" in note for note in notes) == (not as_published)
    assert err.count("\n") == (0 if as_published else 1)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True
    features = medzoo.load(name, features_only=True).load_receipt.notes
    assert any("its hash is not" in note for note in features) == (not as_published)


def test_no_published_hash_is_no_warning(entry, tmp_path, capsys):
    name = entry(UPSTREAM)
    folder = medzoo.convert(saved(tmp_path / "w.pth", small_model().state_dict()), name, out=tmp_path / "f")
    assert capsys.readouterr().err == ""
    assert [row.result for row in check(folder).rows if row.check == "as published"] == ["SKIP"]


def test_an_older_folder_is_replaced_with_a_note(entry, tmp_path, capsys):
    name = entry(UPSTREAM)
    file = saved(tmp_path / "w.pth", small_model().state_dict())
    medzoo.convert(file, name, out=tmp_path / "f")
    assert capsys.readouterr().err == ""
    medzoo.convert(file, name, out=tmp_path / "f")
    assert str(tmp_path / "f") in capsys.readouterr().err


def test_what_a_kill_left_behind_goes_and_the_rest_stays(entry, tmp_path):
    name = entry(UPSTREAM)
    parent = tmp_path / "out"
    two_days_ago = time.time() - 2 * 24 * 3600
    for left in (".tmp-convert-dead", ".tmp-convert-alive", ".tmp-somebody", "other"):
        (parent / left).mkdir(parents=True)
        (parent / left / "state.safetensors").write_bytes(b"x")
        if left != ".tmp-convert-alive":
            os.utime(parent / left, (two_days_ago, two_days_ago))
    medzoo.convert(saved(tmp_path / "w.pth", small_model().state_dict()), name, out=parent / "f")
    assert sorted(path.name for path in parent.iterdir()) == [".tmp-convert-alive", ".tmp-somebody", "f", "other"]


def test_what_is_not_there_is_refused_before_a_process_starts(entry, tmp_path, monkeypatch, apart):
    name = entry(UPSTREAM)
    monkeypatch.setattr(sandbox.subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "ResNet50.pt").write_bytes(b"x")
    for place, says in (
        ("absent.pth", "no-such-file"),
        ("empty", "folder-instead-of-file"),
        ("full", "folder-instead-of-file"),
    ):
        with raises(ConversionError, says):
            medzoo.convert(tmp_path / place, name, out=tmp_path / "f")


EDITS = {
    "a name is missing": lambda s: s.pop("bn1.weight"),
    "a head of one's own": lambda s: s.update({"head.0.weight": torch.zeros(2), "head.0.bias": torch.zeros(2)}),
    "another shape": lambda s: s.update({"bn1.weight": torch.zeros(5)}),
    "not a number": lambda s: s["bn1.weight"].fill_(float("nan")),
    "nothing": lambda s: [s.pop(key) for key in list(s)],
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("format", ["timm", "barlowtwins"])
def test_errors_end_alike_and_lead_in_no_circle(entry, tmp_path, edit, format):
    name = entry(UPSTREAM)
    path = medzoo.zoo.registry.registry.config_dir() / f"{name}.toml"
    path.write_text(path.read_text().replace('"timm"', f'"{format}"'))
    state = small_model().state_dict()
    EDITS[edit](state)
    with pytest.raises(ConversionError) as caught:
        medzoo.convert(saved(tmp_path / "w.pth", state), name, out=tmp_path / "f")
    text = str(caught.value)
    assert text.endswith(" Nothing was written.") and text.count("Nothing was") == 1 and "medzoo convert" not in text


def test_a_head_that_no_rule_names_leads_to_add(entry, configs, tmp_path):
    name = entry(UPSTREAM)
    file = saved(tmp_path / "w.pth", small_model().state_dict() | {"head.0.weight": torch.zeros(2)})
    with raises(ConversionError, "weights-differ-from-architecture"):
        medzoo.convert(file, name, out=tmp_path / "f")
    (configs / f"{name}.toml").write_text((configs / f"{name}.toml").read_text().replace('"timm"', '"moco-v2"'))
    rows = {f"module.encoder_q.{key}": torch.zeros(1) for key in ("conv1.weight", "bn1.weight", "extra.weight")}
    with raises(ConversionError, "keys-without-rule"):
        medzoo.convert(saved(tmp_path / "w.pth", {"state_dict": rows}), name, out=tmp_path / "f")
