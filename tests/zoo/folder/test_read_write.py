import json
import shutil

import numpy as np
import pytest
import timm
import torch
from expect import raises
from PIL import Image
from safetensors.torch import load_file
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError, IntegrityError, UsageError, WeightsMismatchError
from medzoo.zoo.folder.read_write import read_folder

CASES = {
    "resnet, headless": ("test_resnet", 0, {}),
    "resnet, 3 classes": ("test_resnet", 3, {}),
    "vit, headless": ("test_vit", 0, {}),
    "vit, 3 classes": ("test_vit", 3, {}),
    "vit at another size": ("test_vit", 3, {"img_size": 64}),
    "one channel": ("test_resnet", 3, {"in_chans": 1}),
    "variant": ("resnet18_cifar", 3, {}),
}


def stored(case, tmp_path):
    import medzoo.zoo.variants

    architecture, classes, arguments = CASES[case]
    model = small_model(architecture, classes, **arguments)
    shape = (
        {"mean": [0.4], "std": [0.2]}
        if arguments.get("in_chans") == 1
        else {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    )
    card = {**CARD, "name": f"{architecture}-drawn", "input": shape}
    if not classes:
        card.pop("labels")
    else:
        card["problem_type"] = "multi_label_classification"
    return model, medzoo.save(model, tmp_path / "folder", card=card)


@pytest.mark.parametrize("case", CASES)
def test_everyone_loads_the_same_bits(case, tmp_path):
    model, folder = stored(case, tmp_path)
    state = model.state_dict()
    plain = load_file(folder / "model.safetensors")
    assert plain.keys() == state.keys() and all(torch.equal(plain[name], state[name]) for name in state)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert all(torch.equal(tensor, state[name]) for name, tensor in by_timm.state_dict().items())
    by_medzoo = medzoo.load(str(folder), num_classes="pretrained" if model.num_classes else 0)
    assert all(torch.equal(tensor, state[name]) for name, tensor in by_medzoo.state_dict().items())
    config = timm.data.resolve_model_data_config(by_medzoo)
    assert config["mean"] == by_medzoo.pretrained_cfg["mean"] and config["mean"][0] == 0.4
    assert timm.data.resolve_model_data_config(by_timm)["mean"][0] == 0.4
    batch = torch.randn(2, *config["input_size"])
    with torch.inference_mode():
        assert torch.equal(by_medzoo(batch), model(batch))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_transformers_computes_the_same(case, tmp_path):
    transformers = pytest.importorskip("transformers")
    model, folder = stored(case, tmp_path)
    features = medzoo.load(str(folder))
    config = timm.data.resolve_model_data_config(features)
    batch = torch.randn(2, *config["input_size"])
    auto = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        assert torch.allclose(auto(batch).pooler_output, features(batch), atol=1e-6)
    if model.num_classes:
        classifier = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
        with torch.inference_mode():
            assert torch.allclose(classifier(batch).logits, model(batch), atol=1e-6)
        assert classifier.config.id2label == {0: "a", 1: "b", 2: "c"}
        assert classifier.config.problem_type == "multi_label_classification"
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    size = config["input_size"]
    pixels = np.random.RandomState(0).randint(0, 255, (*size[1:], 3) if size[0] == 3 else size[1:], np.uint8)
    image = Image.fromarray(pixels)
    expected = timm.data.create_transform(**config, is_training=False)(image)
    assert torch.equal(processor(image, return_tensors="pt")["pixel_values"][0], expected)


def test_config_is_what_both_readers_need(folder):
    rows = json.loads((folder / "config.json").read_text())
    assert "num_classes" not in rows.get("model_args", {}) and "in_chans" not in rows.get("model_args", {})
    assert rows["pretrained_cfg"]["mean"] == [0.4, 0.5, 0.6] and rows["pretrained_cfg"]["tag"] == "medzoo"
    assert rows["pretrained_cfg"]["input_size"] == [3, 64, 64]
    assert rows["pretrained_cfg"]["first_conv"] and rows["pretrained_cfg"]["classifier"] == "fc"
    assert rows["label_names"] == ["a", "b", "c"] and len(rows["medzoo"]["golden"]["first"]) == 3
    assert rows["medzoo"]["lineage"][-1]["data"] == "drawn"


def change(folder, edit):
    path = folder / "config.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


BREAK = {
    "unknown fact": (lambda rows: rows["medzoo"].update(factory="os.system"), "unknown-key"),
    "unknown step": (lambda rows: rows["medzoo"]["lineage"][0].update(script="x"), "unknown-key"),
    "other schema": (lambda rows: rows["medzoo"].update(schema="medzoo.folder/9"), "other-folder-schema"),
    "no sha": (lambda rows: rows["medzoo"].pop("sha256"), "missing-key"),
    "code as architecture": (lambda rows: rows.update(architecture="os.path:join"), "architecture-invalid"),
    "reserved keyword": (lambda rows: rows.update(model_args={"checkpoint_path": "/x"}), "model-args-reserved"),
    "another file": (lambda rows: rows["pretrained_cfg"].update(file="/etc/passwd"), "weights-source-in-config"),
    "custom load": (lambda rows: rows["pretrained_cfg"].update(custom_load=True), "weights-source-in-config"),
    "classes": (lambda rows: rows.update(num_classes="3"), "num-classes-invalid"),
    "labels": (lambda rows: rows.update(label_names=["a"]), "label-names-invalid"),
    "std": (lambda rows: rows["pretrained_cfg"].update(std=[1.0]), "mean-std-channels"),
    "size": (lambda rows: rows["pretrained_cfg"].update(input_size=[3, -1, 5]), "input-size-invalid"),
    "problem": (lambda rows: rows.update(problem_type="x"), "problem-type-unknown"),
    "no cfg": (lambda rows: rows.pop("pretrained_cfg"), "not-a-timm-config"),
}


@pytest.mark.parametrize("case", BREAK)
def test_a_closed_schema(folder, case):
    edit, says = BREAK[case]
    change(folder, edit)
    with raises(IntegrityError, says):
        read_folder(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_config_that_is_no_json(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(IntegrityError):
        read_folder(folder)


def test_missing_files(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with raises(IntegrityError, "not-a-checkpoint-folder"):
        read_folder(folder)
    with raises(IntegrityError, "not-a-checkpoint-folder"):
        read_folder(tmp_path)


def test_nan_is_refused(tmp_path):
    model = small_model()
    model.fc.weight.data[0, 0] = float("nan")
    with raises(IntegrityError, "weights-not-finite"):
        medzoo.save(model, tmp_path / "f", card=CARD)
    assert not (tmp_path / "f").exists() and not list(tmp_path.glob(".tmp-*"))


def test_save_keeps_the_model_as_it_is_and_replaces_only_checkpoints(tmp_path, folder):
    model = small_model().train()
    model.bn1.eval() if hasattr(model, "bn1") else None
    modes = [module.training for module in model.modules()]
    medzoo.save(model, folder, card=CARD)
    assert modes == [module.training for module in model.modules()]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with raises(UsageError, "folder-not-empty"):
        medzoo.save(model, tmp_path / "mine", card=CARD)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (tmp_path / "file").write_text("x")
    with raises(UsageError, "not-a-folder"):
        medzoo.save(model, tmp_path / "file", card=CARD)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"license": None}, "card-fact-missing"), ({"name": ""}, "card-fact-missing"), ({"data": []}, "card-fact-missing"),
        ({"license": "apache"}, "license-unknown"), ({"labels": ["a"]}, "label-count-differs"),
        ({"name": "../x"}, "card-name-invalid"), ({"colour": 1}, "unknown-key"),
        ({"input": {"channels": 1}}, "card-channels-differ"),
        ({"problem_type": "x"}, "problem-type-unknown"), ({"lineage": [{"what": 1}]}, "unknown-key"),
    ],
)  # fmt: skip
def test_a_card_that_lacks_or_invents(tmp_path, edit, says):
    with raises(CardError, says):
        medzoo.save(small_model(), tmp_path / "f", card={**CARD, **edit})
    assert not (tmp_path / "f").exists()


def test_a_wrapper_is_no_timm_model(tmp_path):
    with raises(WeightsMismatchError, "not-a-timm-model"):
        medzoo.save(torch.nn.DataParallel(small_model()), tmp_path / "f", card=CARD)
    with raises(WeightsMismatchError, "not-a-timm-model"):
        medzoo.save(timm.create_model("test_resnet", features_only=True), tmp_path / "f", card=CARD)


def test_a_model_that_the_configuration_cannot_give_back(tmp_path):
    model = small_model("test_vit", 0)
    for block in model.blocks:
        torch.nn.init.normal_(block.attn.qkv.weight, std=0.5)
    for block in model.blocks:  # same shapes, another function: as MoCo-v3's 12 heads
        block.attn.num_heads, block.attn.head_dim = 1, 64
        block.attn.scale = 64**-0.5
    card = {**CARD, "labels": [], "input": {}}
    with raises(WeightsMismatchError, "outputs-differ"):
        medzoo.save(model, tmp_path / "f", card=card)


def test_checkpoint_as_card(tmp_path):
    entry = medzoo.info("resnet18-random")
    with raises(CardError, "card-fact-missing"):  # random weights have none; nothing is invented
        medzoo.save(timm.create_model("resnet18", num_classes=0), tmp_path / "f", card=entry)


def test_continued_training_keeps_the_whole_lineage(folder, tmp_path):
    model = medzoo.load(str(folder), num_classes=2)
    card = {
        "name": "test_resnet-drawn-more",
        "license": "mit",
        "data": ["drawn", "more"],
        "labels": ["x", "y"],
        "method": "supervised",
    }
    again = medzoo.load(str(medzoo.save(model, tmp_path / "g", card=card)))
    first, second = again.load_receipt.lineage
    assert first["name"] == "test_resnet-drawn" and first["sha256"] == model.load_receipt.sha256
    assert (second["name"], second["data"], second["sha256"]) == (
        "test_resnet-drawn-more",
        "more",
        again.load_receipt.sha256,
    )
    assert again.pretrained_cfg["mean"] == (0.4, 0.5, 0.6)


def test_half_precision_is_told(tmp_path):
    model = small_model().half()
    model.float()
    folder = medzoo.save(model, tmp_path / "f", card=CARD)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    from safetensors.torch import save_file

    save_file(state, folder / "model.safetensors")
    change(folder, lambda rows: rows.pop("medzoo"))
    loaded = medzoo.load(str(folder))
    assert loaded.conv1[0].weight.dtype == torch.float32
    assert any("float16" in note for note in loaded.load_receipt.notes)
    shutil.rmtree(folder)
