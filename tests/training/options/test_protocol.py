"""Protocols, found by file name: closed, typed, hashed with options resolved."""

from dataclasses import asdict

import pytest
from expect import raises

from medzoo.errors import UnknownNameError, UsageError
from medzoo.store import sha256_of
from medzoo.training.options.protocol import list_protocols, load_protocol
from medzoo.training.options.protocol_options import FIRST


@pytest.mark.parametrize("mode", ["finetune", "linear"])
@pytest.mark.parametrize("name", list_protocols())
def test_every_protocol_loads(name, mode):
    protocol = load_protocol(name, mode)
    assert protocol.name == name and protocol.mode == mode and len(protocol.hash()) == 64


def test_typed_options_win_and_change_the_hash():
    plain, typed = load_protocol("medzoo", "finetune"), load_protocol("medzoo", "finetune", epochs=3, size=None)
    assert typed.epochs == 3 and typed.hash() != plain.hash() and typed.batch_size == plain.batch_size


def test_the_name_is_not_hashed(tmp_path):
    from medzoo.paths import data_dir

    copy = tmp_path / "ours.toml"
    copy.write_text((data_dir("recipes") / "protocols" / "medzoo.toml").read_text())
    assert load_protocol(str(copy), "finetune").hash() == load_protocol("medzoo", "finetune").hash()


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_an_option_that_came_later_leaves_the_hash_of_who_does_not_use_it(mode):
    plain = load_protocol("medzoo", mode)
    earlier = {key: value for key, value in asdict(plain).items() if key in FIRST}  # all options of version 0.1.0
    assert plain.hash() == sha256_of(earlier) != load_protocol("medzoo", mode, rotation=5.0).hash()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[finetune]\nlearnig_rate = 1.0", "unknown-key"),
        ("[finetune]\nepochs = 'ten'", "wrong-type"),
        ("[finetune]\nprecision = 'fp8'", "precision-unknown"),
        ("[linear]\n", "protocol-table-missing"),
        ("[finetune", "toml-invalid"),
        ("[finetune]\nepochs = 0", "out-of-range"),
    ],
)
def test_bad_protocols(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with raises(UsageError, message):
        load_protocol(str(path), "finetune")


def test_unknown_protocol():
    with raises(UnknownNameError, "unknown-protocol"):
        load_protocol("medzo", "finetune")
