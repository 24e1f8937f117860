"""Numbers that no training gives are refused where they come in, with the name of the tensor or the fact, never by JSON."""

import json

import numpy as np
import pytest
import timm
import torch
from expect import raises
from safetensors.torch import load_file, save_file
from zoo_samples import CARD, small_model

import medzoo
from medzoo import store
from medzoo.errors import CardError, ConversionError, IntegrityError, MedzooError, RegistryError, UsageError
from medzoo.zoo.add import add
from medzoo.zoo.publish.push import plan_push
from medzoo.zoo.registry.registry import read_checkpoint

FACTS = {"license": "mit", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3, "size": 64}
MANUAL = 'access = "manual"\ninstructions = "Ask."'
NAN, INF = float("nan"), float("inf")


def negative(state):
    name = next(name for name in state if name.endswith("running_var"))
    state[name][1] = -0.25
    return name


def infinite_answers(state):
    """Finite weights, whose products are not."""
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    state[name].fill_(3e38)
    return name


def not_a_number(state):
    name = list(state)[-3]
    state[name].reshape(-1)[0] = NAN
    return name


BROKEN = {"a negative variance": negative, "NaN": not_a_number}


@pytest.fixture(params=BROKEN)
def broken(request):
    """Weights with something impossible in them, and the tensor's name."""
    model = small_model(num_classes=0)
    state = model.state_dict()
    return model, state, BROKEN[request.param](state)


def test_conversion_and_add_name_the_tensor(broken, entry, tmp_path, private_home):
    _, state, name = broken
    torch.save(state, tmp_path / "w.pth")
    with raises(ConversionError, ("variance-below-zero", "weights-not-finite"), match=name):
        medzoo.convert(tmp_path / "w.pth", entry(MANUAL))
    with raises(ConversionError, ("variance-below-zero", "weights-not-finite"), match=name):
        add(tmp_path / "w.pth", "test_resnet-ours", **FACTS)
    assert not (private_home / "checkpoints").exists() or not any((private_home / "checkpoints").iterdir())


def test_save_names_the_tensor(broken, tmp_path):
    model, _, name = broken
    with raises(IntegrityError, ("variance-below-zero", "weights-not-finite"), match=name):
        medzoo.save(model, tmp_path / "f", card={**CARD, "labels": []})
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("kind", BROKEN)
def test_check_and_push_name_the_tensor(folder, kind):
    path = folder / "model.safetensors"
    state = {key: tensor.clone() for key, tensor in load_file(path).items()}
    name = BROKEN[kind](state)
    save_file(state, path, metadata={"format": "pt"})
    rows = json.loads((folder / "config.json").read_text())
    rows["medzoo"]["sha256"] = store.sha256_file(path)  # a forger fixes it too
    (folder / "config.json").write_text(json.dumps(rows))
    failed = {row.check: row.detail for row in medzoo.check(folder).rows if row.result == "FAIL"}
    assert name in failed["finite"]
    with raises(IntegrityError, ("variance-below-zero", "weights-not-finite"), match=name):
        plan_push(folder, "lab/net")


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_answers_that_are_not_finite_name_the_layer(architecture, tmp_path, private_home):
    model = small_model(architecture, 0)
    state = model.state_dict()
    layer = infinite_answers(state).rpartition(".")[0]
    card = {**CARD, "name": f"{architecture}-drawn", "labels": [], "input": {}}
    with raises(IntegrityError, "features-not-finite", match=layer):
        medzoo.save(model, tmp_path / "f", card=card)
    torch.save(state, tmp_path / "w.pth")
    size = model.pretrained_cfg["input_size"][-1]
    with raises(MedzooError, "features-not-finite", match=layer):
        add(tmp_path / "w.pth", f"{architecture}-ours", **{**FACTS, "size": size})
    assert not (tmp_path / "f").exists()


def test_small_and_zero_variances_are_right(tmp_path):
    model = small_model(num_classes=0)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer[:2] = torch.tensor([0.0, 1e-12])
    assert medzoo.check(medzoo.save(model, tmp_path / "f", card={**CARD, "labels": []})).passed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"input": {"size": 64, "std": [0.1, 0.0, 0.1]}}, "std"), ({"input": {"size": 64, "std": [0.1, -1, 0.1]}}, "std"),
        ({"input": {"size": 64, "std": [0.1, NAN, 0.1]}}, "std"), ({"input": {"size": 64, "mean": [0.1, INF, 0.1]}}, "mean"),
        ({"input": {"size": 64, "clip": [5.0, -5.0]}}, "clip"), ({"input": {"size": 64, "clip": [-INF, 5.0]}}, "clip"),
        ({"input": {"size": 64, "clip": [5.0]}}, "clip"), ({"input": {"size": 64, "crop_pct": NAN}}, "crop_pct"),
        ({"input": {"size": 64, "crop_pct": 0.0}}, "crop_pct"), ({"input": {"size": 0}}, "size"), ({"input": {"mean": []}}, "mean"),
        ({"hyperparameters": {"learning_rate": NAN}}, "hyperparameters: learning_rate"),
        ({"hyperparameters": {"steps": [1, {"decay": -INF}]}}, r"hyperparameters: steps\[1\]: decay"),
        ({"hyperparameters": {"optimizer": object()}}, "hyperparameters: optimizer"),
        ({"hyperparameters": {"dtype": torch.float32}}, "hyperparameters: dtype"),
        ({"results": [{"task": "t", "metric": "auroc", "value": NAN}]}, "results"),
        ({"results": [{"task": "t", "metric": "auroc", "value": 0.5, "ci": (0.1, INF)}]}, "results"),
        ({"model": {"kwargs": {"drop_rate": NAN}}}, "drop_rate"), ({"epochs": NAN}, "epochs"),
    ],
)  # fmt: skip
def test_facts_that_are_no_numbers(tmp_path, change, says):
    with raises(CardError, ("input-invalid", "card-number-not-finite", "card-value-type"), match=says):
        medzoo.save(small_model(), tmp_path / "f", card={**CARD, **change})
    assert not (tmp_path / "f").exists()


def test_numbers_of_numpy_are_numbers(tmp_path):
    options = {
        "learning_rate": np.float32(0.5),
        "epochs": np.int64(3),
        "nesterov": np.bool_(True),
        "betas": (0.9, np.float64(0.5)),
    }
    folder = medzoo.save(
        small_model(), tmp_path / "f", card={**CARD, "hyperparameters": options, "epochs": np.int32(3)}
    )
    rows = json.loads((folder / "config.json").read_text())["medzoo"]
    assert rows["hyperparameters"] == {"learning_rate": 0.5, "epochs": 3, "nesterov": True, "betas": [0.9, 0.5]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("std = [0.5, 0.5, 0.5]", "std = [0.5, nan, 0.5]"), ("std = [0.5, 0.5, 0.5]", "std = [0.5, inf, 0.5]"),
        ("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.0, 0.5]"), ("mean = [0.5, 0.5, 0.5]", "mean = [0.5, nan, 0.5]"),
        ("size = 64", "size = 64\nclip = [-inf, 5.0]"), ("size = 64", "size = 64\ncrop_pct = nan"),
    ],
)  # fmt: skip
def test_a_file_of_facts_with_such_numbers(configs, entry, old, new):
    path = configs / f"{entry(MANUAL)}.toml"
    path.write_text(path.read_text().replace(old, new))
    with raises(RegistryError, "input-invalid", match=r"\[input\]"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"std": [0.5, NAN, 0.5]}, {"std": [0.5, 0.0, 0.5]}, {"std": [INF] * 3}, {"mean": [0.5, NAN, 0.5]}, {"clip": [-INF, 5.0]},
        {"crop_pct": NAN},
    ],
)  # fmt: skip
def test_add_takes_no_such_numbers(tmp_path, private_home, change):
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "w.pth")
    with pytest.raises((UsageError, RegistryError)):
        add(tmp_path / "w.pth", "test_resnet-ours", **{**FACTS, **change})
    assert medzoo.list_models("test_resnet-ours") == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pretrained_cfg", "std"), [0.1, 0, 0.1]), (("pretrained_cfg", "std"), [0.1, -0.2, 0.1]),
        (("pretrained_cfg", "mean"), [INF, 0, 0]),
        (("medzoo", "input"), {"clip": [5.0, -5.0]}), (("medzoo", "input"), {"clip": [5.0]}),
    ],
)  # fmt: skip
def test_a_configuration_with_such_numbers(folder, path, value):
    rows = json.loads((folder / "config.json").read_text())
    rows[path[0]][path[1]] = value
    (folder / "config.json").write_text(json.dumps(rows).replace("Infinity", "1e999"))
    for call in (medzoo.load, medzoo.transform):
        with pytest.raises(IntegrityError):
            call(str(folder))
