import json

import pytest
import timm
import torch
from expect import raises
from safetensors.torch import save_file

import medzoo
from medzoo import paths
from medzoo.errors import CardError, ConversionError, MedzooError, RegistryError, UnknownNameError, UsageError
from medzoo.zoo.add import add
from medzoo.zoo.registry.registry import own_dir

FACTS = {"license": "cc-by-4.0", "data": ["ours"], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "size": 64}
NAME = "test_resnet-simclr-ours"


@pytest.fixture
def model():
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=0).eval()


@pytest.fixture
def file(model, tmp_path):
    """A safetensors file: each torch file is read in a process of its own, which takes seconds to start."""
    path = tmp_path / "best.safetensors"
    save_file(model.state_dict(), path)
    return path


def left_behind() -> list[str]:
    home = paths.home()
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) if home.exists() else []


def test_one_command_makes_a_checkpoint_like_any_other(model, private_home, no_network, tmp_path):
    torch.save({"epoch": 3, "state_dict": model.state_dict()}, tmp_path / "best.pth")
    report = add(tmp_path / "best.pth", NAME, method="simclr", images=1234, epochs=100, **FACTS)
    assert report.passed and report.name == NAME and NAME in medzoo.list_models(method="simclr")
    entry = medzoo.info(NAME)
    assert (
        entry.input.mean == (0.4, 0.5, 0.6) and entry.pretraining.images == 1234 and entry.architecture == "test_resnet"
    )
    loaded = medzoo.load(NAME)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(x), model(x)) and loaded.load_receipt.lineage[-1]["data"] == "ours"
    assert medzoo.transform(NAME)(torch.zeros(3, 80, 80, dtype=torch.uint8)).shape == (3, 64, 64)


def test_safetensors_and_a_head(tmp_path, private_home):
    net = timm.create_model("test_vit", num_classes=5)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    add(tmp_path / "net.safetensors", "test_vit-ours", **{**FACTS, "size": 160})
    assert medzoo.load("test_vit-ours", num_classes="pretrained").get_classifier().out_features == 5


def test_the_architecture_may_be_named_otherwise(file, private_home):
    add(file, "mynet-ours", architecture="test_resnet", **FACTS)
    assert medzoo.load("mynet-ours").load_receipt.architecture == "test_resnet"


def test_an_upstream_format_is_recognised(private_home, tmp_path):
    net = timm.create_model("resnet50", num_classes=0)
    state = {f"module.encoder_q.{key}": value for key, value in net.state_dict().items()}
    state |= {f"module.encoder_k.{key}": value * 2 for key, value in net.state_dict().items() if value.ndim}
    for side in ("q", "k"):
        for layer, shape in (("0", (2048, 2048)), ("2", (128, 2048))):
            state[f"module.encoder_{side}.fc.{layer}.weight"] = torch.zeros(shape)
            state[f"module.encoder_{side}.fc.{layer}.bias"] = torch.zeros(shape[0])
    state |= {"module.queue": torch.zeros(128, 65536), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    torch.save({"state_dict": state}, tmp_path / "moco.pth.tar")
    add(tmp_path / "moco.pth.tar", "resnet50-mocov2-ours", **FACTS)
    assert medzoo.info("resnet50-mocov2-ours").upstream.format == "moco-v2"


@pytest.mark.parametrize("prefix", ["model.", "state_dict.module.", "model_state_dict.backbone."])
def test_the_network_is_found_inside_a_training_checkpoint(model, tmp_path, private_home, prefix):
    *outer, inner = prefix.rstrip(".").split(".")
    rows = {f"{inner}.{name}": tensor for name, tensor in model.state_dict().items()}
    rows["head_of_mine.weight"] = torch.zeros(3)
    held = {outer[0]: rows} if outer else rows
    torch.save({"epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}}, **held}, tmp_path / "last.pth")
    assert add(tmp_path / "last.pth", NAME, **FACTS).passed
    assert torch.equal(medzoo.load(NAME)(torch.ones(1, 3, 64, 64)), model(torch.ones(1, 3, 64, 64)))


def test_a_moving_average_beside_the_weights_is_asked_about(model, tmp_path, private_home):
    average = {name: tensor * 0.5 for name, tensor in model.state_dict().items()}
    torch.save({"state_dict": model.state_dict(), "state_dict_ema": average}, tmp_path / "last.pth")
    with raises(
        UsageError, "format-ambiguous", match=r"several ways.*--prefix state_dict\.,.*--prefix state_dict_ema\."
    ):
        add(tmp_path / "last.pth", NAME, **FACTS)
    assert left_behind() == []
    add(tmp_path / "last.pth", NAME, prefix="state_dict_ema.", **FACTS)
    assert torch.equal(medzoo.load(NAME).state_dict()["conv1.0.weight"], average["conv1.0.weight"])


def test_what_is_no_part_of_the_network_is_dropped_only_when_told(model, tmp_path, private_home):
    save_file(model.state_dict() | {"projector.0.weight": torch.zeros(3)}, tmp_path / "last.safetensors")
    with raises(ConversionError, "weights-differ-from-architecture"):
        add(tmp_path / "last.safetensors", NAME, **FACTS)
    with raises(UsageError, "drop-not-a-regular-expression"):
        add(tmp_path / "last.safetensors", NAME, drop=["("], **FACTS)
    with raises(ConversionError, "prefix-without-tensors"):
        add(tmp_path / "last.safetensors", NAME, prefix="net.", **FACTS)
    assert add(tmp_path / "last.safetensors", NAME, drop=[r"projector\."], **FACTS).passed


def test_an_older_entry_is_replaced_only_when_told(file, private_home, tmp_path):
    add(file, NAME, **FACTS)
    with raises(UsageError, "name-taken", match=r"already.*--replace"):
        add(file, NAME, **FACTS)
    other = timm.create_model("test_resnet", num_classes=0)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    add(tmp_path / "other.safetensors", NAME, replace_old=True, **FACTS)
    assert torch.equal(medzoo.load(NAME).state_dict()["conv1.0.weight"], other.state_dict()["conv1.0.weight"])


@pytest.mark.parametrize(
    ("name", "change", "error", "says"),
    [
        ("resnet50-imagenet", {}, UsageError, "name-of-medzoo"),
        ("resnet50-mocov2", {}, UsageError, "name-of-medzoo"),  # an alias
        ("NoName", {}, UsageError, "name-invalid"),
        ("../resnet50-x", {}, UsageError, "name-invalid"),
        ("test_resnet-random", {}, UsageError, "name-for-random"),
        ("nonet-ours", {}, UsageError, "architecture-unknown"),
        (NAME, {"license": "free"}, CardError, "license-unknown"),
        (NAME, {"license": ""}, CardError, "license-missing"),
        (NAME, {"mean": [0.5]}, RegistryError, "input-invalid"),
        (NAME, {"std": [0.0, 1, 1]}, RegistryError, "input-invalid"),
        (NAME, {"data": []}, RegistryError, "pretraining-data-empty"),
        (NAME, {"rule": "guess"}, RegistryError, "not-a-choice"),
        (NAME, {"architecture": "resnet50"}, ConversionError, "weights-differ-from-architecture"),
        (NAME, {"format": "no-such"}, MedzooError, "format-unknown"),
        (NAME, {"model_kwargs": {"nonsense": 1}}, MedzooError, "timm-refused-arguments"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(file, private_home, name, change, error, says):
    with raises(error, says):
        add(file, name, **{**FACTS, **change})
    assert left_behind() == [] and name not in [row for row in medzoo.list_models() if "ours" in row]


@pytest.mark.parametrize("content, cause", [
    (b"<!DOCTYPE html><html>sign in</html>", "file-is-web-page"), (b"", "file-empty"),
    (b"PK\x03\x04 not a zip", "zip-unreadable"), (b"\x80\x02.", "pickle-damaged"),
])  # fmt: skip
def test_what_is_no_weights_file(tmp_path, private_home, content, cause):
    (tmp_path / "x.pth").write_bytes(content)
    with raises(ConversionError, cause, match=r"x\.pth"):
        add(tmp_path / "x.pth", NAME, **FACTS)
    assert left_behind() == []
    with raises(UsageError, "file-not-found"):
        add(tmp_path / "absent.pth", NAME, **FACTS)


def test_not_a_number_is_refused(model, tmp_path, private_home):
    state = model.state_dict()
    state["layer1.0.conv1.weight"][0] = float("nan")
    save_file(state, tmp_path / "x.safetensors")
    with raises(ConversionError, "weights-not-finite", match="NaN"):
        add(tmp_path / "x.safetensors", NAME, **FACTS)
    assert left_behind() == []


def test_a_failing_disk_leaves_the_older_entry(file, private_home, monkeypatch):
    add(file, NAME, **FACTS)
    before = (own_dir() / f"{NAME}.toml").read_text(), left_behind()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medzoo.zoo.add.os.replace", full)
    with raises(OSError, "disk-full", match="No space"):
        add(file, NAME, replace_old=True, **{**FACTS, "size": 96})
    assert ((own_dir() / f"{NAME}.toml").read_text(), left_behind()) == before
    assert medzoo.load(NAME) is not None


def test_removed_by_hand_it_is_unknown_again(file, private_home):
    add(file, NAME, **FACTS)
    (own_dir() / f"{NAME}.toml").unlink()
    with pytest.raises(UnknownNameError):
        medzoo.info(NAME)
    assert json.loads((paths.home() / "checkpoints" / NAME / "config.json").read_text())["medzoo"]["name"] == NAME


def test_an_older_entry_is_replaced_with_other_facts(file, model, private_home, tmp_path):
    """The old entry still stands while the new folder is checked, and says otherwise."""
    add(file, NAME, **FACTS)
    other = timm.create_model("test_vit", num_classes=0)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    facts = {
        **FACTS,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5] * 3,
        "size": 160,
        "rule": "per_image_minmax",
        "license": "mit",
    }
    report = add(tmp_path / "other.safetensors", NAME, architecture="test_vit", replace_old=True, **facts)
    assert report.passed and {row.check: row.result for row in report.rows}["registry"] == "PASS"
    entry, loaded = medzoo.info(NAME), medzoo.load(NAME)
    assert (entry.architecture, entry.input.mean, entry.license.id) == ("test_vit", (0.1, 0.2, 0.3), "mit")
    assert loaded.load_receipt.input_rule == "per_image_minmax" and loaded.pretrained_cfg["mean"] == (0.1, 0.2, 0.3)
    assert torch.equal(loaded.cls_token, other.cls_token)
    assert add(file, NAME, replace_old=True, **FACTS).passed  # and back
    assert torch.equal(medzoo.load(NAME)(torch.ones(1, 3, 64, 64)), model(torch.ones(1, 3, 64, 64)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean": [123.675, 116.28, 103.53]}, "mean-out-of-range"),
        ({"mean": [-0.1, 0.5, 0.5]}, "mean-out-of-range"),
        ({"mean": [float("nan"), 0.5, 0.5]}, "mean-out-of-range"),
        ({"mean": 0.5}, "mean-std-not-numbers"),
        ({"std": ["a", "b", "c"]}, "mean-std-not-numbers"),
        ({"mean": []}, "mean-std-empty"),
        ({"images": 0}, "count-below-one"),
        ({"epochs": -5}, "count-below-one"),
        ({"labels": ["a", "a"]}, "labels-invalid"),
    ],
)
def test_numbers_that_cannot_be(file, private_home, change, says):
    with raises((UsageError, RegistryError), says) as caught:
        add(file, NAME, **{**FACTS, **change})
    assert "tmp-add" not in str(caught.value) and left_behind() == []


def test_the_report_names_what_was_left_out(model, tmp_path, private_home):
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file({**state, "model.head.weight": torch.zeros(2), "ema.x": torch.zeros(1)}, tmp_path / "last.safetensors")
    report = add(tmp_path / "last.safetensors", NAME, drop=[r"head\."], **FACTS)
    row = report.rows[-1]
    assert (row.check, row.result) == ("left out", "PASS") and report.passed
    assert row.detail == "2 tensors of last.safetensors: ema.x, model.head.weight" and "model.head.weight" in str(
        report
    )
    save_file(model.state_dict(), tmp_path / "last.safetensors")
    row = add(tmp_path / "last.safetensors", NAME, replace_old=True, **FACTS).rows[-1]
    assert row.detail == "every tensor of last.safetensors is in the folder"


@pytest.mark.parametrize("prefix", ["module", "module.", "net.module", ""])
def test_a_prefix_may_lack_its_dot(model, tmp_path, private_home, prefix):
    names = model.state_dict().items()
    start = prefix + "." if prefix and not prefix.endswith(".") else prefix
    save_file({start + name: tensor for name, tensor in names}, tmp_path / "last.safetensors")
    assert add(tmp_path / "last.safetensors", NAME, prefix=prefix, **FACTS).passed


def test_what_does_not_fit_leads_to_the_option_that_helps(model, tmp_path, private_home):
    def says(state, match, name=NAME, **change):
        save_file(state, tmp_path / "last.safetensors")
        with raises(ConversionError, "weights-differ-from-architecture", match=match) as caught:
            add(tmp_path / "last.safetensors", name, **{**FACTS, **change})
        text = str(caught.value)
        assert text.endswith(" Nothing was written.") and text.count("Nothing was") == 1
        assert "tmp-add" not in text and "medzoo convert" not in text and left_behind() == []

    state = model.state_dict()
    says(state | {"head.0.weight": torch.zeros(2), "proj.bias": torch.zeros(2)}, r"--drop 'head\\\.' --drop 'proj\\\.'")
    vit = {"size": 160, "name": "test_vit-ours"}
    tokens = timm.create_model("test_vit", num_classes=0).state_dict()
    pooled = timm.create_model("test_vit", num_classes=0, global_pool="avg").state_dict()
    says({f"model.{name}": row for name, row in pooled.items()}, r"""--model '\{"global_pool": "avg"\}'""", **vit)
    says(tokens, r"""--model '\{"global_pool": "token"\}'""", model_kwargs={"global_pool": "avg"}, **vit)
    grey = timm.create_model("test_resnet", num_classes=0, in_chans=1).state_dict()
    says(grey, "one channel: give one mean and one std")
    says(state, "three channels: give three numbers", mean=[0.5], std=[0.5])
    (tmp_path / "empty").mkdir()
    with raises(ConversionError, "folder-instead-of-file"):
        add(tmp_path / "empty", NAME, **FACTS)


def test_grey_stems_and_pooled_tokens_then_go_in(tmp_path, private_home):
    save_file(timm.create_model("test_resnet", num_classes=0, in_chans=1).state_dict(), tmp_path / "grey.safetensors")
    assert add(tmp_path / "grey.safetensors", NAME, **{**FACTS, "mean": [0.5], "std": [0.25]}).passed
    save_file(
        timm.create_model("test_vit", num_classes=0, global_pool="avg").state_dict(), tmp_path / "vit.safetensors"
    )
    facts = {**FACTS, "size": 160, "model_kwargs": {"global_pool": "avg"}}
    assert add(tmp_path / "vit.safetensors", "test_vit-ours", **facts).passed
