import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import medzoo
from medzoo import store
from medzoo.errors import UnknownNameError, WeightsUnavailableError
from medzoo.zoo.check.check import STEPS, check
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.locations import CONFIG, WEIGHTS

RANDOM = [name for name in registry.names() if medzoo.info(name).random]


def verdicts(report) -> dict[str, str]:
    return {row.check: row.result for row in report.rows}


def edit(folder, change) -> None:
    rows = json.loads((folder / CONFIG).read_text())
    change(rows)
    (folder / CONFIG).write_text(json.dumps(rows))


def rewrite(folder, change, *, hashed: bool = True) -> None:
    """Change the tensors; with `hashed`, as somebody would who also keeps the sha256 true."""
    state = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(state)
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    if hashed:
        edit(folder, lambda rows: rows["medzoo"].update(sha256=store.sha256_file(folder / WEIGHTS)))


def test_a_whole_folder_passes(folder):
    report = check(folder)
    assert report.passed and [row.check for row in report.rows] == [label for label, _ in STEPS]
    assert verdicts(report) == {label: "PASS" for label, _ in STEPS} | {"registry": "SKIP", "as published": "SKIP"}
    assert report.name == "test_resnet-drawn" and str(folder) in str(report)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_a_run_folder_is_its_checkpoint(folder, tmp_path):
    run = tmp_path / "run"
    shutil.move(folder, run / "checkpoint")
    assert check(run).folder == str(run / "checkpoint")


def flip_a_byte(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def cut(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def not_a_number(folder):
    rewrite(folder, lambda state: state["layer1.0.conv1.weight"].fill_(np.nan))


def one_name_less(folder):
    rewrite(folder, lambda state: state.pop(next(iter(state))))


def other_numbers(folder):
    rewrite(folder, lambda state: [t.mul_(1.5) for t in state.values() if t.is_floating_point() and t.ndim > 1])


def other_hash(folder):
    edit(folder, lambda rows: rows["medzoo"].update(sha256="0" * 64))


def same_labels(folder):
    edit(folder, lambda rows: rows.update(label_names=["a", "a", "b"]))


def no_config(folder):
    (folder / CONFIG).unlink()


def no_card(folder):
    (folder / "README.md").unlink()


def a_pickle(folder):
    (folder / "pytorch_model.bin").write_bytes(b"x")


@pytest.mark.parametrize(
    ("damage", "fails"),
    [
        (flip_a_byte, {"sha256"}),
        (cut, {"header", "sha256"}),
        (not_a_number, {"finite", "golden"}),
        (one_name_less, {"names, shapes"}),
        (other_numbers, {"golden"}),
        (other_hash, {"sha256"}),
        (same_labels, {"labels"}),
        (no_config, {"configuration"}),
        (no_card, {"files"}),
        (a_pickle, {"files"}),
    ],
)
def test_each_damage_is_named(folder, damage, fails):
    damage(folder)
    report = check(folder)
    failed = {row.check for row in report.rows if row.result == "FAIL"}
    assert failed == fails and not report.passed
    assert all(row.detail for row in report.rows)


def test_what_the_registry_says_otherwise(folder, entry, private_home):
    entry('access = "direct"\nurl = "https://example.org/x"')
    report = check(folder)
    assert verdicts(report)["registry"] == "FAIL"  # the folder was written with another mean and std
    assert "mean" in next(row.detail for row in report.rows if row.check == "registry")
    target = private_home / "checkpoints" / "test_resnet-drawn"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, target)
    assert check("test_resnet-drawn").folder == str(target)


@pytest.mark.parametrize("name", RANDOM)
def test_random_ones_are_built(name):
    report = check(name)
    assert report.passed and report.folder is None
    assert verdicts(report) == {"architecture": "PASS", "weights": "SKIP"}


def test_nothing_is_downloaded(private_home, no_network):
    with pytest.raises(WeightsUnavailableError):
        check("resnet50-mocov2-imagenet")
    with pytest.raises(UnknownNameError):
        check("resnet50-nothing")
