"""Protocols, found by file name: closed, typed, hashed with options resolved."""

from dataclasses import asdict

import pytest
from expect import raises

from medzoo.errors import UnknownNameError, UsageError
from medzoo.paths import data_dir
from medzoo.store import sha256_of
from medzoo.training.options.protocol import list_protocols, list_rows, load_protocol, parse_overrides
from medzoo.training.options.protocol_options import FIRST, PROBES
from medzoo.training.options.toml_files import read_toml

ROW = "[finetune]\nepochs = 3\n[finetune.tasks.knee]\nepochs = 5\nsize = 112\n"


def modes(name):
    return list(read_toml(data_dir("recipes") / "protocols" / f"{name}.toml", "The protocol"))


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in list_protocols() for mode in modes(name)])
def test_every_protocol_loads_in_each_of_its_modes(name, mode):
    kind = "segmentation" if mode == "segmentation" else "binary"
    run = "finetune" if mode == "segmentation" else mode  # a table of its own, but no mode of its own
    protocol = load_protocol(name, run, kind=kind)
    assert protocol.name == name and protocol.mode == run and len(protocol.hash()) == 64
    for task in list_rows(name, run, kind):
        assert load_protocol(name, run, task=task, kind=kind).hash() != protocol.hash()


@pytest.mark.parametrize("name", list_protocols())
def test_every_protocol_can_fine_tune_and_says_so_if_it_has_no_probe(name):
    if name == "dinov2_linear":  # a study of probes only
        assert modes(name) == ["head_grid"]
        return
    assert modes(name)[0] in ("finetune", "segmentation") and set(modes(name)[1:]) <= {"segmentation", *PROBES}
    if "linear" not in modes(name):
        with raises(UsageError, "protocol-table-missing"):
            load_protocol(name, "linear")


def test_a_task_has_its_own_values(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ROW)
    knee = load_protocol(str(path), "finetune", task="knee,fold=2")  # choices after a comma do not matter
    assert (knee.epochs, knee.size) == (5, 112)
    for task in (None, "isic", "folder:knee"):
        assert load_protocol(str(path), "finetune", task=task).epochs == 3
    assert load_protocol(str(path), "finetune", task="knee", epochs=9).epochs == 9  # a typed option wins


def test_a_segmentation_has_its_own_table(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[finetune]\nepochs = 3\nmixup = 0.2\n[segmentation]\nepochs = 7\n[segmentation.tasks.drive]\nsize = 64\n"
    )
    both = {kind: load_protocol(str(path), "finetune", kind=kind) for kind in ("binary", "segmentation", None)}
    assert [one.epochs for one in both.values()] == [3, 7, 3] and both["segmentation"].mixup == 0
    assert load_protocol(str(path), "finetune", task="drive", kind="segmentation").size == 64
    same = tmp_path / "same.toml"
    same.write_text("[finetune]\nepochs = 7")
    assert load_protocol(str(same), "finetune", kind="binary").hash() == both["segmentation"].hash()


@pytest.mark.parametrize(("table", "kind"), [("finetune", "segmentation"), ("segmentation", "multilabel")])
def test_a_file_without_the_table_of_the_task_is_refused(tmp_path, table, kind):
    path = tmp_path / "mine.toml"
    path.write_text(f"[{table}]\nepochs = 3")
    assert load_protocol(str(path), "finetune").epochs == 3
    with raises(UsageError, "protocol-table-missing"):
        load_protocol(str(path), "finetune", kind=kind)


def test_the_two_tables_of_a_file_have_one_precision(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[finetune]\nprecision = "fp32"\n[segmentation]\nepochs = 7')
    with raises(UsageError, "precision-of-a-table"):
        load_protocol(str(path), "finetune", kind="segmentation")


def test_typed_options_win_and_change_the_hash():
    plain, typed = load_protocol("medzoo", "finetune"), load_protocol("medzoo", "finetune", epochs=3, size=None)
    assert typed.epochs == 3 and typed.hash() != plain.hash() and typed.batch_size == plain.batch_size


def test_the_name_is_not_hashed(tmp_path):
    copy = tmp_path / "ours.toml"
    copy.write_text((data_dir("recipes") / "protocols" / "medzoo.toml").read_text())
    assert load_protocol(str(copy), "finetune").hash() == load_protocol("medzoo", "finetune").hash()


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_an_option_that_came_later_leaves_the_hash_of_who_does_not_use_it(mode):
    later = {"layer_decay": 1.0, "drop_path": 0.0} if mode == "finetune" else {}
    plain = load_protocol("medzoo", mode, **later)
    earlier = {key: value for key, value in asdict(plain).items() if key in FIRST}  # all options of version 0.1.0
    assert plain.hash() == sha256_of(earlier) != load_protocol("medzoo", mode, **later, rotation=5.0).hash()


@pytest.mark.parametrize("mode", ["dense", "dense_knn"])
def test_the_hash_of_a_dense_probe_is_not_that_of_its_former_form(mode):
    """Results of the probe that labelled whole patches stay apart, although `samples` has its default value."""
    plain = load_protocol("medzoo", mode)
    former = {key: value for key, value in asdict(plain).items() if key in FIRST or (key == "neighbours" and value)}
    assert plain.hash() == sha256_of({**former, "samples": 20_000}) != sha256_of(former)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[finetune]\nlearnig_rate = 1.0", "unknown-key"),
        ("[finetune]\nepochs = 'ten'", "wrong-type"),
        ("[finetune]\nprecision = 'fp8'", "precision-unknown"),
        ("[linear]\n", "protocol-table-missing"),
        ("[finetune", "toml-invalid"),
        ("[finetune]\nepochs = 0", "out-of-range"),
        ("[finetune]\nbrightness = 1.2", "out-of-range"),  # the factor would be negative
        ("[finetune]\ncontrast = 1.2", "out-of-range"),
        ("[finetune]\nsaturation = 1.2", "out-of-range"),
        ("finetune = 3", "not-a-table"),
        ("[finetune]\ntasks = 3", "not-a-table"),
        ("[finetune]\n[finetune.task.knee]\nepochs = 3", "unknown-key"),
        ("[finetune.tasks.knee]\nepoch = 3", "unknown-key"),
        ("[finetune.tasks.knee]\nepochs = 0", "out-of-range"),
        ("[finetune.tasks.nee]\nepochs = 3", "unknown-task"),
        ("[finetune.tasks.knee]\nprecision = 'bf16'", "precision-of-a-task"),
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


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("schedule=plateau, patience = 11", {"schedule": "plateau", "patience": 11}),
        ("head-bias=false,", {"head_bias": False}),
        ("class_weights=[1, 2.5], optimizer='sgd'", {"class_weights": [1, 2.5], "optimizer": "sgd"}),
        ("class_weights=balanced", {"class_weights": "balanced"}),
        ("precision=auto", {"precision": "auto"}),
    ],
)
def test_overrides_are_toml_and_words(text, values):
    assert parse_overrides(text) == values


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("leaning_rate=1e-3", UnknownNameError, "unknown-protocol-option"),
        ("name=mine", UnknownNameError, "unknown-protocol-option"),
        ("epochs=ten", UsageError, "wrong-type"),
        ("epochs=0", UsageError, "out-of-range"),
        ("warmup_epochs=inf", UsageError, "not-finite"),
        ("flip=true", UsageError, "wrong-type"),
        ("schedule=cosin", UsageError, "not-a-choice"),
        ("precision=fp8", UsageError, "precision-unknown"),
        ("regularisation=[1.0]", UsageError, "option-not-used"),
        ("epochs", UsageError, "set-invalid"),
        ("epochs=3 4", UsageError, "set-invalid"),
        ("epochs=1, epochs=2", UsageError, "set-invalid"),
        ("batch-size=8, batch_size=9", UsageError, "set-invalid"),
        ("flip=0.5}\nmore={epochs=3", UsageError, "set-invalid"),
    ],
)
def test_wrong_overrides(text, error, code):
    with raises(error, code):
        parse_overrides(text)


def test_a_probe_uses_few_overrides():
    assert parse_overrides("regularisation=[1.0], size=64", "linear") == {"regularisation": [1.0], "size": 64}
    assert parse_overrides("steps=9, learning_rates=[0.1]", "attentive") == {"steps": 9, "learning_rates": [0.1]}
    for text, mode in (
        ("epochs=3", "linear"),
        ("steps=9", "linear"),
        ("queries=4", "head_grid"),
        ("neighbours=[3]", "dense"),
    ):
        with raises(UsageError, "option-not-used"):
            parse_overrides(text, mode)
    with raises(UsageError, "option-not-used"):
        parse_overrides("steps=9")


def test_a_missing_table_names_the_protocols_that_have_it():
    with raises(UsageError, "protocol-table-missing", match="--protocol dinov2_linear"):
        load_protocol("medzoo", "head_grid")


@pytest.mark.parametrize(
    "options",
    [
        {"lora_rank": 4, "frozen_epochs": 1},
        {"lora_rank": 4, "train_blocks": 2},
        {"lora_rank": 4, "train_blocks": 0},
        {"epochs": 3, "frozen_epochs": 3},
    ],
)
def test_options_that_exclude_each_other(options):
    with raises(UsageError, "options-exclude-each-other"):
        load_protocol("medzoo", "finetune", **options)


@pytest.mark.parametrize(
    "options", [{"lora_rank": 4}, {"frozen_epochs": 1, "train_blocks": 2}, {"epochs": 3, "frozen_epochs": 2}]
)
def test_options_that_go_together(options):
    protocol = load_protocol("medzoo", "finetune", **options)
    assert {name: getattr(protocol, name) for name in options} == options
