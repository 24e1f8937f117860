import copy
import json
import os
import pickle

import pytest
import timm
import torch
from expect import raises
from safetensors.torch import load_file, save_file
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import IntegrityError, UnknownNameError, UsageError, WeightsMismatchError, WeightsUnavailableError
from medzoo.zoo.loading.load import describe

TINY = list(timm.list_models("test_*"))


@pytest.mark.parametrize("architecture", TINY)
def test_meta_build_computes_what_timm_computes(architecture, tmp_path):
    """Over timm's tiny nets of every family: features, heads and the fast build are those of timm's own path."""
    model = small_model(architecture, 3)
    card = {**CARD, "name": f"{architecture}-drawn", "input": {}}
    folder = medzoo.save(model, tmp_path / "f", card=card)
    batch = torch.randn(1, *model.pretrained_cfg["input_size"])
    headless = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        assert torch.equal(medzoo.load(str(folder), num_classes="pretrained")(batch), model(batch))
        features = medzoo.load(str(folder))(batch)
        assert features.ndim == 2 and torch.equal(features, headless(batch))


def test_random_is_drawn_from_torchs_generator():
    torch.manual_seed(3)
    first = medzoo.load("resnet18_cifar-random", num_classes=2)
    torch.manual_seed(3)
    second = medzoo.load("resnet18_cifar-random", num_classes=2)
    third = medzoo.load("resnet18_cifar-random", num_classes=2)
    assert torch.equal(first.conv1.weight, second.conv1.weight) and not torch.equal(
        first.conv1.weight, third.conv1.weight
    )
    assert not first.training and first.load_receipt.sha256 == "" and first.load_receipt.lineage == ()
    config = timm.data.resolve_model_data_config(first)
    assert config["input_size"] == (3, 32, 32) and config["mean"] == (0.485, 0.456, 0.406)
    assert first(torch.zeros(1, 3, 28, 28)).shape == (1, 2)
    grey = medzoo.load("resnet18_cifar-random", in_chans=1)
    assert grey(torch.zeros(1, 1, 28, 28)).shape == (1, 512) and len(grey.pretrained_cfg["mean"]) == 1
    assert (
        len(medzoo.load("resnet18_cifar-random", features_only=True, out_indices=(1, 4))(torch.zeros(1, 3, 32, 32)))
        == 2
    )
    with raises(UsageError, "no-stored-head"):
        medzoo.load("resnet18_cifar-random", num_classes="pretrained")


@pytest.mark.parametrize("name", medzoo.list_models("*-random"))
def test_every_random_entry_is_drawn_under_its_facts(name):
    entry = medzoo.info(name)
    model = medzoo.load(name)
    config = timm.data.resolve_model_data_config(model)
    assert (config["mean"], config["std"]) == (entry.input.mean, entry.input.std)
    assert config["input_size"] == (entry.input.channels, entry.input.size, entry.input.size)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.facts["parameters"]
    assert model.num_features == entry.facts["features"]


def test_heads(folder):
    model = small_model()
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        features = medzoo.load(str(folder))
        assert torch.equal(features(batch), model.forward_head(model.forward_features(batch), pre_logits=True))
        assert sorted(features.load_receipt.dropped) == ["fc.bias", "fc.weight"] and features.load_receipt.fresh == ()
        assert torch.equal(medzoo.load(str(folder), num_classes="pretrained")(batch), model(batch))
    torch.manual_seed(1)
    fresh = medzoo.load(str(folder), num_classes=3)  # as many as stored, and still fresh
    torch.manual_seed(1)
    again = medzoo.load(str(folder), num_classes=3)
    other = medzoo.load(str(folder), num_classes=3)
    assert torch.equal(fresh.fc.weight, again.fc.weight) and not torch.equal(fresh.fc.weight, other.fc.weight)
    assert not torch.equal(fresh.fc.weight, model.fc.weight)
    assert sorted(fresh.load_receipt.fresh) == ["fc.bias", "fc.weight"]
    assert fresh.pretrained_cfg["num_classes"] == 3 and "label_names" not in fresh.pretrained_cfg


@pytest.mark.parametrize("arguments", [{}, {"in_chans": 1}, {"drop_path_rate": 0.1}])
def test_no_stored_head_is_no_head_of_features(tiny_hub, arguments):
    """Features would look like the answers of a classifier."""
    with raises(UsageError, "no-stored-head"):
        medzoo.load("lab/tiny", hub=tiny_hub, num_classes="pretrained", **arguments)


def test_in_chans_is_timms_adaption_and_told(folder):
    for channels in (1, 2, 4):
        ours = medzoo.load(str(folder), in_chans=channels)
        theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, in_chans=channels).eval()
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
        assert ours.pretrained_cfg["input_size"] == (channels, 64, 64)
        assert ours.pretrained_cfg["mean"] == pytest.approx((0.5,) * channels)
        assert ours.pretrained_cfg["std"] == pytest.approx((0.3,) * channels)
        assert any("not the same function" in note for note in ours.load_receipt.notes)
    assert medzoo.load(str(folder), in_chans=3).load_receipt.notes == ()


def test_feature_maps(folder):
    batch = torch.randn(1, 3, 64, 64)
    ours = medzoo.load(str(folder), features_only=True, out_indices=(1, 3), in_chans=None)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True, out_indices=(1, 3)).eval()
    with torch.inference_mode():
        assert all(torch.equal(a, b) for a, b in zip(ours(batch), theirs(batch), strict=True))
    assert ours.feature_info.channels() == theirs.feature_info.channels()
    assert not ours.training and "file" not in ours.pretrained_cfg and ours.pretrained_cfg["mean"] == (0.4, 0.5, 0.6)
    assert medzoo.load(str(folder), features_only=True, in_chans=1)(batch[:, :1])[0].shape[0] == 1


@pytest.mark.parametrize("architecture", ["test_vit", "test_vit2", "test_convnext", "test_maxvit", "test_efficientnet"])
def test_feature_maps_of_other_families(architecture, tmp_path):
    folder = medzoo.save(
        small_model(architecture), tmp_path / "f", card={**CARD, "name": f"{architecture}-x", "input": {}}
    )
    maps = medzoo.load(str(folder), features_only=True)
    assert maps.load_receipt.fresh == ()
    assert all(torch.isfinite(feature).all() for feature in maps(torch.randn(1, *maps.pretrained_cfg["input_size"])))


def test_another_size_goes_through_timm_and_arrives(tmp_path):
    card = {**CARD, "name": "test_vit-x", "input": {}}
    folder = medzoo.save(small_model("test_vit"), tmp_path / "f", card=card)
    ours = medzoo.load(str(folder), img_size=96, num_classes=2)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, img_size=96, num_classes=0).eval()
    assert torch.equal(ours.pos_embed, theirs.pos_embed)
    assert ours.pretrained_cfg["input_size"] == (3, 96, 96) and ours(torch.zeros(1, 3, 96, 96)).shape == (1, 2)
    assert any("resampled" in note for note in ours.load_receipt.notes)
    assert sorted(ours.load_receipt.fresh) == ["head.bias", "head.weight"]
    saved = medzoo.save(ours, tmp_path / "g", card={**card, "labels": ["x", "y"]})
    assert medzoo.load(str(saved))(torch.zeros(1, 3, 96, 96)).shape == (1, 64)


def test_a_keyword_that_would_leave_random_weights(tmp_path):
    folder = medzoo.save(small_model("test_vit"), tmp_path / "f", card={**CARD, "name": "test_vit-x", "input": {}})
    with pytest.raises((WeightsMismatchError, UsageError)):
        medzoo.load(str(folder), depth=8)
    with pytest.raises((WeightsMismatchError, UsageError)):
        medzoo.load(str(folder), global_pool="avg", fc_norm=True)  # timm alone leaves fc_norm as drawn
    with raises(UsageError, "timm-refused-arguments"):
        medzoo.load(str(folder), no_such_keyword=1)
    assert medzoo.load(str(folder), drop_path_rate=0.2)(torch.zeros(1, 3, 160, 160)).shape == (1, 64)


def test_arguments_that_make_no_sense(folder):
    wrongs = [
        {"num_classes": "all"},
        {"num_classes": -1},
        {"num_classes": True},
        {"in_chans": 0},
        {"out_indices": (1,)},
    ]
    wrongs += [
        {"features_only": True, "num_classes": 3},
        {"checkpoint_path": "x"},
        {"pretrained": True},
        {"verify": "never"},
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError):
            medzoo.load(str(folder), **wrong)


def rewrite(folder, edit, honest=True):
    path = folder / "model.safetensors"
    state = load_file(path)
    state = {name: tensor.clone() for name, tensor in state.items()}
    edit(state)
    path.unlink()
    save_file(state, path, metadata={"format": "pt"})
    if honest:  # a forger fixes the sha256 too
        from medzoo import store

        config = json.loads((folder / "config.json").read_text())
        config["medzoo"]["sha256"] = store.sha256_file(path)
        (folder / "config.json").write_text(json.dumps(config))


FOREIGN = {
    "prefix": (lambda s: [s.update({"module." + k: s.pop(k)}) for k in list(s)], "missing.*unexpected: module"),
    "a layer is missing": (lambda s: [s.pop(k) for k in list(s) if k.startswith("layer4")], r"missing: layer4"),
    "one buffer is missing": (lambda s: s.pop(next(k for k in s if k.endswith("running_var"))), "1 missing"),
    "an extra tensor": (lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra"),
    "another shape": (lambda s: s.update({"fc.weight": torch.zeros(4, 96)}), "of another shape: fc.weight"),
    "a grey stem": (lambda s: s.update({"conv1.0.weight": s["conv1.0.weight"][:, :1].clone()}), "another shape: conv1"),
    "no weight of the head": (lambda s: s.pop("fc.weight"), r"1 missing: fc\.weight"),
    "no head": (lambda s: [s.pop("fc.weight"), s.pop("fc.bias")], r"2 missing: fc\.weight, fc\.bias"),
    "empty": (lambda s: [s.pop(k) for k in list(s)], "missing"),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize(
    "arguments", [{}, {"num_classes": 5}, {"num_classes": "pretrained"}, {"features_only": True}, {"in_chans": 1}]
)
def test_a_foreign_state_dict_never_loads(folder, case, arguments):
    edit, says = FOREIGN[case]
    rewrite(folder, edit)
    with raises(WeightsMismatchError, "weights-differ-from-architecture", match=says):
        medzoo.load(str(folder), **arguments)


def test_changed_weights_are_noticed(folder):
    medzoo.load(str(folder))
    rewrite(folder, lambda state: state["fc.bias"].add_(1), honest=False)
    with raises(IntegrityError, "weights-hash-wrong", match="sha256"):
        medzoo.load(str(folder))


def test_one_flipped_bit_and_truncation(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with raises(IntegrityError, "weights-hash-wrong", match="sha256"):
        medzoo.load(str(folder))
    path.write_bytes(content[:-1])
    with raises(IntegrityError, "weights-truncated", match="truncated"):
        medzoo.load(str(folder))
    path.write_bytes(b"")
    with pytest.raises(IntegrityError):
        medzoo.load(str(folder))


def test_verify_always_sees_what_a_receipt_cannot(folder):
    medzoo.load(str(folder))
    path = folder / "model.safetensors"
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(-50, os.SEEK_END)
        file.write(b"\x01")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with raises(IntegrityError, "weights-hash-wrong", match="sha256"):
        medzoo.load(str(folder), verify="always")


def test_a_run_folder_and_all_the_ways_to_write_a_path(pristine, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "checkpoint").symlink_to(pristine)
    monkeypatch.chdir(tmp_path)
    for name in (str(run), "runs/a", "./runs/a/", f"local-dir:{run}", f"local-dir:{pristine}", "runs/a/checkpoint"):
        assert medzoo.load(name).load_receipt.name == "test_resnet-drawn"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing",
        "résnet50",
        "a" * 300,
        "resnet50\nrandom",
        "../../no/such",
        "hf-hub:a/../b",
        "hf-hub:nobody",
        "a/b/c",
    ],
)
def test_odd_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UnknownNameError, WeightsUnavailableError)):
        medzoo.load(name, local_files_only=True)


@pytest.mark.parametrize("revision", ["../x", "/x", "-x", "a b", "a/../../b", "x" * 300, "a\nb", ""])
def test_hostile_revisions(revision):
    with pytest.raises(UsageError):
        medzoo.load("hf-hub:org/name", revision=revision, local_files_only=True)
    if revision:
        with pytest.raises(UsageError):
            medzoo.load(f"hf-hub:org/name@{revision}", local_files_only=True)


def test_receipt_dtype_and_copies(folder):
    model = medzoo.load(str(folder), dtype=torch.bfloat16, device="cpu")
    assert next(model.parameters()).dtype == torch.bfloat16
    receipt = model.load_receipt
    assert (
        receipt.folder == str(folder.resolve()) and len(receipt.sha256) == 64 and receipt.architecture == "test_resnet"
    )
    with pytest.raises(AttributeError):
        receipt.name = "x"
    assert copy.deepcopy(model).load_receipt == receipt
    assert pickle.loads(pickle.dumps(model)).load_receipt == receipt


def test_training_a_loaded_model_leaves_the_file_alone(folder):
    before = (folder / "model.safetensors").read_bytes()
    model = medzoo.load(str(folder), num_classes=2).train()
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter -= parameter.grad
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_folder_that_timm_wrote(tmp_path):
    model = small_model("test_resnet", 5)
    timm.models.save_for_hf(model, tmp_path / "theirs", safe_serialization=True)
    loaded = medzoo.load(f"local-dir:{tmp_path / 'theirs'}", num_classes="pretrained")
    assert torch.equal(loaded.fc.weight, model.fc.weight)
    assert any("no sha256" in note for note in loaded.load_receipt.notes) and loaded.load_receipt.lineage == ()


def test_an_architecture_of_a_newer_timm(folder):
    config = json.loads((folder / "config.json").read_text())
    config["architecture"] = "resnet9000"
    (folder / "config.json").write_text(json.dumps(config))
    with raises(WeightsMismatchError, "architecture-unknown"):
        medzoo.load(str(folder))


def test_describe_reads_no_weights(folder):
    assert describe(str(folder)).mean == (0.4, 0.5, 0.6)
    assert describe("resnet50-radimagenet").size == 224


def test_loading_stored_weights_leaves_torchs_generator_alone(folder):
    before = torch.get_rng_state()
    medzoo.load(str(folder))
    medzoo.load(str(folder), num_classes="pretrained", in_chans=1)
    assert torch.equal(before, torch.get_rng_state())
