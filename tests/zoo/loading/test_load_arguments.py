"""What a caller of `load` may say, what is refused with a sentence, and what the receipt says of it."""

import inspect

import numpy as np
import pytest
import torch
from expect import raises
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import UsageError

SAME = {**CARD, "input": {"size": 64, "mean": [0.5] * 3, "std": [0.25] * 3}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_classes": None}, "num-classes-invalid"),
        ({"num_classes": 2.0}, "num-classes-invalid"),
        ({"num_classes": float("nan")}, "num-classes-invalid"),
        ({"num_classes": [2]}, "num-classes-invalid"),
        ({"in_chans": 1.0}, "in-chans-invalid"),
        ({"in_chans": "3"}, "in-chans-invalid"),
        ({"dtype": "float17"}, "dtype-invalid"),
        ({"dtype": "int8"}, "dtype-invalid"),
        ({"dtype": torch.int64}, "dtype-invalid"),
        ({"dtype": "nn"}, "dtype-invalid"),
        ({"dtype": 16}, "dtype-invalid"),
        ({"out_indices": 3}, "out-indices-invalid"),
        ({"out_indices": "12"}, "out-indices-invalid"),
        ({"out_indices": ()}, "out-indices-invalid"),
        ({"out_indices": (1.5,)}, "out-indices-invalid"),
        ({"out_indices": (99,)}, "timm-refused-arguments"),
        ({"out_indices": (-99,)}, "timm-refused-arguments"),
    ],
)
@pytest.mark.parametrize("name", ["stored", "resnet18_cifar-random", "vit_small-random"])
def test_what_makes_no_sense_gets_a_sentence(folder, name, arguments, says):
    if "out_indices" in arguments:
        arguments = {**arguments, "features_only": True}
    with raises(UsageError, says):
        medzoo.load(str(folder) if name == "stored" else name, **arguments)


def test_numbers_of_numpy_are_numbers(folder):
    assert medzoo.load(str(folder), num_classes=np.int64(2)).fc.weight.shape[0] == 2


@pytest.mark.parametrize("name", [None, 3, ["resnet18-random"], object()])
def test_a_name_is_text(name):
    for call in (medzoo.load, medzoo.info, medzoo.check, medzoo.fetch):
        with raises(UsageError, "name-not-text"):
            call(name)


@pytest.mark.parametrize("name", ["float16", "torch.float16", "bfloat16", "float64"])
def test_types_by_their_name(folder, name):
    model = medzoo.load(str(folder), dtype=name)
    assert next(model.parameters()).dtype == getattr(torch, name.removeprefix("torch."))


@pytest.mark.parametrize("stored", [torch.float64, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("options", [{}, {"features_only": True}, {"in_chans": 1}, {"num_classes": "pretrained"}])
def test_any_stored_type_is_loaded_as_float32(tmp_path, stored, options):
    folder = medzoo.save(small_model().to(stored), tmp_path / "net", card=CARD)
    model = medzoo.load(str(folder), **options)
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}
    noted = [note for note in model.load_receipt.notes if note.startswith(f"stored as {stored}")]
    assert len(noted) == (stored != torch.float32)
    channels = options.get("in_chans", 3)
    medzoo.load(str(folder), **options)(torch.zeros(1, channels, 64, 64))  # a float32 image goes in


def test_float64_weights_are_whole_where_float64_is_asked_for(tmp_path):
    original = small_model().double()
    torch.nn.init.normal_(original.fc.bias)
    folder = medzoo.save(original, tmp_path / "net", card=CARD)
    whole = medzoo.load(str(folder), num_classes="pretrained", dtype="float64")
    assert torch.equal(whole.fc.bias, original.fc.bias) and not whole.load_receipt.notes
    rounded = medzoo.load(str(folder), num_classes="pretrained", dtype="float16")
    assert torch.equal(rounded.fc.bias, original.fc.bias.float().half())


@pytest.mark.parametrize("wish", [{}, {"features_only": True}])
def test_a_summed_stem_is_the_same_function_of_grey_where_channels_agree(tmp_path, wish):
    folder = medzoo.save(small_model(), tmp_path / "same", card=SAME)
    colour, grey = medzoo.load(str(folder), **wish), medzoo.load(str(folder), in_chans=1, **wish)
    (note,) = grey.load_receipt.notes
    assert note.endswith("from 3 to 1 channels: the network is the same function of grey images")
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    with torch.inference_mode():
        outputs = [model(medzoo.transform(model)(image)[None]) for model in (colour, grey)]
    for one, other in zip(*(rows if isinstance(rows, list) else [rows] for rows in outputs), strict=True):
        assert (one - other).abs().max() <= 1e-4 * one.abs().max()


def test_and_it_is_another_where_they_do_not(folder, tmp_path):
    same = medzoo.save(small_model(), tmp_path / "same", card=SAME)
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    colour, grey = medzoo.load(str(folder)), medzoo.load(str(folder), in_chans=1)  # a mean and std for each channel
    assert any("not the same function" in note for note in grey.load_receipt.notes)
    with torch.inference_mode():
        one, other = (model(medzoo.transform(model)(image)[None]) for model in (colour, grey))
    assert (one - other).abs().max() > 1e-3 * one.abs().max()
    assert any("not the same function" in note for note in medzoo.load(str(same), in_chans=4).load_receipt.notes)


def test_a_receipt_is_read_at_a_glance(folder):
    heads = {"none": {}, "fresh": {"num_classes": 2, "fresh_head": True}, "stored": {"num_classes": "pretrained"}}
    for head, wish in heads.items():
        receipt = medzoo.load(str(folder), **wish).load_receipt
        counts = "".join(f", {word}=2 tensors" for word in ("fresh", "dropped") if getattr(receipt, word))
        assert (
            counts
            == {"none": ", dropped=2 tensors", "fresh": ", fresh=2 tensors, dropped=2 tensors", "stored": ""}[head]
        )
        assert repr(receipt) == (
            f"LoadReceipt(name='test_resnet-drawn', architecture='test_resnet', sha256='{receipt.sha256[:12]}', "
            f"head={head!r}{counts}, notes=())"
        )
    assert "fc.weight" in medzoo.load(str(folder), num_classes=2).load_receipt.fresh
    assert len(repr(medzoo.load("resnet18-random").load_receipt)) < 200


def test_the_docstring_says_how_commits_are_kept():
    text = inspect.getdoc(medzoo.load)
    assert "first load on this machine" in text and "used from then on" in text and "looked up each time" in text
