"""The options of a run that a protocol sets: typed, given by --set, resolved by an earlier run."""

import pytest
from expect import raises

from medzoo.bench.cell_options import CellOptions, cell_defaults, protocol_of, resolved_options
from medzoo.errors import UnknownNameError, UsageError
from medzoo.recipe_args import parse
from medzoo.training.options.toml_files import to_toml

CHANGED = "schedule=plateau, patience=11, mixup=0.2"


def options(**changes):
    return CellOptions(checkpoint="resnet18-random", task="phantom_ct", **{"device": "cpu", **changes})


def test_set_is_the_same_as_a_file(tmp_path):
    """The same hash, so that the results of both are one column of a table."""
    path = tmp_path / "mine.toml"
    path.write_text('[finetune]\nepochs = 3\nschedule = "plateau"\npatience = 11\n')
    path_plain = tmp_path / "plain.toml"
    path_plain.write_text("[finetune]\nepochs = 3\n")
    written = protocol_of(options(protocol=str(path)), "finetune")
    given = protocol_of(options(protocol=str(path_plain), set="schedule=plateau, patience=11"), "finetune")
    assert (given.schedule, given.patience) == ("plateau", 11)
    assert given.hash() == written.hash() != protocol_of(options(protocol=str(path_plain)), "finetune").hash()


def test_set_may_repeat_but_not_contradict_an_option():
    assert protocol_of(options(epochs=3, set="epochs=3"), "finetune").epochs == 3
    assert protocol_of(options(set="epochs=3, precision=fp32"), "finetune").precision == "fp32"
    for changes in ({"epochs": 3, "set": "epochs=4"}, {"precision": "bf16", "set": "precision=fp32"}):
        with raises(UsageError, "set-contradiction"):
            protocol_of(options(**changes), "finetune")


@pytest.mark.parametrize(
    ("text", "mode", "error", "code"),
    [
        ("shedule=plateau", "finetune", UnknownNameError, "unknown-protocol-option"),
        ("patience=some", "finetune", UsageError, "wrong-type"),
        ("optimizer=adamm", "finetune", UnknownNameError, "unknown-optimizer"),
        ("schedule", "finetune", UsageError, "set-invalid"),
        ("flip=0.1", "linear", UsageError, "option-not-used"),
        ("regularisation=[1.0]", "finetune", UsageError, "option-not-used"),
    ],
)
def test_a_wrong_set_is_refused(text, mode, error, code):
    with raises(error, code):
        protocol_of(options(set=text), mode)


def test_what_was_set_comes_back_from_options_toml(tmp_path):
    first = options(set=CHANGED)
    resolved = resolved_options(first, "finetune", protocol_of(first, "finetune"))
    assert "set" not in resolved and resolved["protocol_mixup"] == 0.2
    (tmp_path / "options.toml").write_text(to_toml(resolved))
    words = ["--config", str(tmp_path / "options.toml")]
    (again,) = parse([CellOptions], "", words, mode="finetune")
    assert protocol_of(again, "finetune") == protocol_of(first, "finetune")
    (other,) = parse([CellOptions], "", [*words, "--set", "patience=5", "--epochs=7"], mode="finetune")
    protocol = protocol_of(other, "finetune")
    assert (protocol.patience, protocol.epochs, protocol.mixup) == (5, 7, 0.2)


def test_set_in_a_config_file(tmp_path):
    (tmp_path / "mine.toml").write_text(f'set = "{CHANGED}"\n')
    (read,) = parse([CellOptions], "", ["--config", str(tmp_path / "mine.toml")], mode="finetune")
    assert protocol_of(read, "finetune").mixup == 0.2


def test_a_task_of_a_study_has_its_size():
    study = {"protocol": "juodelyte2023", "device": "cpu"}
    assert protocol_of(CellOptions(checkpoint="x", task="knee", **study), "finetune").size == 112
    assert protocol_of(CellOptions(checkpoint="x", task="knee", size=64, **study), "finetune").size == 64
    assert protocol_of(CellOptions(checkpoint="x", task="mammograms", **study), "finetune").size == 224
    assert cell_defaults("finetune", "juodelyte2023", "knee")["size"] == "the protocol's, 112"
