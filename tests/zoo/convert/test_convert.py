import argparse
import collections

import numpy as np
import pytest
import timm
import torch
from expect import raises
from safetensors.torch import load_file, save_file
from zoo_samples import small_model

import medzoo
from medzoo.errors import ConversionError, UnknownNameError, UsageError
from medzoo.zoo.convert.readers.detect import read_tensors
from medzoo.zoo.convert.recognise import recognise
from medzoo.zoo.loading.assemble import draw
from medzoo.zoo.loading.request import LoadRequest

UPSTREAM = 'access = "manual"\ninstructions = "Ask."'
SWIN = "swin_tiny_patch4_window7_224"


def saved(tmp_path, value, **options):
    torch.save(value, tmp_path / "file.pth", **options)
    return tmp_path / "file.pth"


def written(configs, name, architecture, format, more="", size=64, kwargs=""):
    """An entry of one's own."""
    (configs / f"{name}.toml").write_text(
        f'architecture = "{architecture}"\n{kwargs}\n[input]\nsize = {size}\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n'
        f'[pretraining]\ndata = ["x"]\n[upstream]\nformat = "{format}"\naccess = "manual"\ninstructions = "Ask."\n{more}\n'
        '[license]\nid = "unknown"\nredistributable = false\n'
    )
    return name


@pytest.mark.parametrize("legacy", [True, False])
def test_a_small_file_of_timms_format(entry, tmp_path, legacy):
    name, model = entry(UPSTREAM), small_model(num_classes=4)
    file = saved(tmp_path, model.state_dict(), _use_new_zipfile_serialization=not legacy)
    loaded = medzoo.load(str(medzoo.convert(file, name, out=tmp_path / "f")), num_classes="pretrained")
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded.state_dict().items())
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    medzoo.convert(tmp_path / "x.safetensors", name, out=tmp_path / "f")  # replaces its own kind


def test_without_a_folder_it_goes_where_load_finds_it(entry, tmp_path, private_home):
    name = entry(UPSTREAM)
    folder = medzoo.convert(saved(tmp_path, small_model().state_dict()), name)
    assert private_home in folder.parents
    assert torch.equal(medzoo.load(name).bn1.weight, small_model().bn1.weight)
    assert [path.name for path in folder.parent.iterdir()] == [name]


def test_counters_that_an_old_file_lacks(entry, tmp_path):
    name = entry(UPSTREAM)
    state = {key: value for key, value in small_model().state_dict().items() if not key.endswith("num_batches_tracked")}
    loaded = medzoo.load(str(medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")))
    assert int(dict(loaded.named_buffers())["bn1.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda s: s.pop("bn1.weight"), "weights-differ-from-architecture"),
        (lambda s: s.update(queue=torch.zeros(2)), "weights-differ-from-architecture"),
        (lambda s: s.update({"bn1.weight": torch.zeros(5)}), "weights-differ-from-architecture"),
        (lambda s: s["bn1.weight"].fill_(float("inf")), "weights-not-finite"),
    ],
)
def test_a_file_that_does_not_fit(entry, tmp_path, edit, says):
    name, state = entry(UPSTREAM), small_model().state_dict()
    edit(state)
    with raises(ConversionError, says):
        medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_options_beside_the_tensors_are_left_alone(entry, tmp_path):
    name = entry(UPSTREAM)
    model = small_model()
    value = collections.OrderedDict(model.state_dict())
    value["args"] = argparse.Namespace(lr=1, where=torch.device("cpu"), what=torch.float32)
    for legacy in (True, False):
        file = saved(tmp_path, value, _use_new_zipfile_serialization=not legacy)
        tensors = read_tensors(file)
        assert tensors.keys() == model.state_dict().keys()
        medzoo.convert(file, name, out=tmp_path / "f")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "file-empty"), (b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>", "file-is-web-page"),
        (b"  <html>", "file-is-web-page"), (b"\xef\xbb\xbf<html>", "file-is-web-page"),
        (b"PK\x03\x04 not really", "zip-unreadable"),
        (b"\x80\x02garbage", "pickle-damaged"), (b"hello", "file-type-unknown"), (b"\x1f\x8b\x08", "file-is-archive"),
        (b"\x10\0\0\0\0\0\0\0{\"a\":1}      ", "weights-truncated"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80", "torch-file-unreadable"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(entry, tmp_path, content, says):
    name = entry(UPSTREAM)
    (tmp_path / "file.pth").write_bytes(content)
    with raises(ConversionError, says):
        medzoo.convert(tmp_path / "file.pth", name, out=tmp_path / "f")


def test_archives_say_what_lies_in_them(tmp_path):
    import tarfile
    import zipfile

    (tmp_path / "ResNet50.pt").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "RadImageNet.zip", "w") as archive:
        archive.write(tmp_path / "ResNet50.pt", "RadImageNet_pytorch/ResNet50.pt")
    with raises(ConversionError, "file-is-archive", match=r"Unpack it.*RadImageNet_pytorch/ResNet50\.pt"):
        read_tensors(tmp_path / "RadImageNet.zip")
    with tarfile.open(tmp_path / "inat.tar", "w") as archive:
        archive.add(tmp_path / "ResNet50.pt")
    with raises(ConversionError, "file-is-archive"):
        read_tensors(tmp_path / "inat.tar")
    program = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    torch.jit.save(program, tmp_path / "program.pt")
    with raises(ConversionError, "file-needs-code", match="TorchScript"):
        read_tensors(tmp_path / "program.pt")


def test_names_that_have_nothing_to_convert(tmp_path):
    with raises(UsageError, "no-upstream-file"):
        medzoo.convert(tmp_path / "x", "resnet50-random", out=tmp_path / "f")
    with pytest.raises(UnknownNameError):
        medzoo.convert(tmp_path / "x", "resnet50-nothing", out=tmp_path / "f")
    with raises(ConversionError, "no-such-file"):
        medzoo.convert(tmp_path / "x", "resnet50-imagenet", out=tmp_path / "f")
    with raises(ConversionError, "layout-unknown"):
        medzoo.convert(tmp_path / "x", "vit_small-gmml-imagenet-oct", out=tmp_path / "f")


def test_another_checkpoints_file_is_named(configs, tmp_path):
    name = written(configs, "resnet50-moco", "resnet50", "moco-v2")
    written(configs, "resnet50-radimagenet", "resnet50", "radimagenet-torch-resnet50")
    state = {f"backbone.{key}": torch.zeros(1) for key in ("0.weight", "1.weight", "4.0.conv1.weight")}
    with raises(ConversionError, "keys-without-rule"):
        medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")
    assert not (tmp_path / "f").exists()
    assert recognise(tmp_path / "file.pth") == ["radimagenet-torch-resnet50", "timm"]


def test_the_same_weights_from_another_holder(configs, tmp_path):
    """`also` names a second layout; the first that fits is taken, and the receipt says which."""
    name = written(configs, "test_resnet-x", "test_resnet", "barlowtwins", more='also = ["timm"]')
    folder = medzoo.convert(saved(tmp_path, small_model(num_classes=0).state_dict()), name, out=tmp_path / "f")
    assert (
        '"format": "timm"' in (folder / "config.json").read_text()
        or '"format":"timm"' in (folder / "config.json").read_text()
    )


def test_bgr_is_folded_into_the_stem(configs, tmp_path):
    """The converted network on RGB gives what the original gives on BGR."""
    name = written(configs, "resnet50-x", "resnet50", "radimagenet-torch-resnet50", size=32)
    model = timm.create_model("resnet50", num_classes=0).eval()
    back = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    state = {f"module.backbone.{back[k.split('.')[0]]}.{k.split('.', 1)[1]}": v for k, v in model.state_dict().items()}
    loaded = medzoo.load(str(medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")))
    batch = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(loaded(batch.flip(1)), model(batch), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(loaded(batch), model(batch), rtol=1e-2)


def older_swin_name(key):
    stage, name = key.split(".")[1:3] if key.startswith("layers.") else (None, None)
    return (
        key.replace(f"layers.{stage}", f"layers.{int(stage) - 1}")
        if name == "downsample"
        else key.replace("head.fc.", "head.")
    )


def test_swin_files_of_older_timm(configs, tmp_path):
    """Downsampling at the end of a stage, the classifier without .fc, buffers that are now computed."""
    name = written(configs, "swin_tiny-x", SWIN, "timm", size=224)
    model = timm.create_model(SWIN, num_classes=5)
    state = {older_swin_name(key): tensor for key, tensor in model.state_dict().items()}
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.int64)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    assert "layers.0.downsample.reduction.weight" in state and "head.weight" in state
    folder = medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")
    have = load_file(folder / "model.safetensors")
    assert all(torch.equal(have[key], tensor) for key, tensor in model.state_dict().items())
    assert medzoo.convert(
        saved(tmp_path, model.state_dict()), name, out=tmp_path / "f"
    )  # today's names stay as they are


@pytest.mark.parametrize(("rows", "window", "size"), [(121, 6, 192), (169, 7, 224)])
def test_the_window_is_read_from_the_bias_table(configs, tmp_path, rows, window, size):
    name = written(
        configs,
        "swin_tiny-simmim-x",
        SWIN,
        "simmim-swin-base",
        size=192,
        kwargs="[model]\nkwargs = {img_size = 192, window_size = 6}",
    )
    model = timm.create_model(SWIN, num_classes=0, img_size=size, window_size=window).eval()
    state = {older_swin_name(key): tensor for key, tensor in model.state_dict().items()} | {
        "mask_token": torch.zeros(1, 1, 96)
    }
    file = saved(tmp_path, {"model": {f"encoder.{key}": tensor for key, tensor in state.items()}})
    folder = medzoo.convert(file, name, out=tmp_path / "f")
    loaded = medzoo.load(str(folder))
    assert loaded.layers[0].blocks[0].attn.relative_position_bias_table.shape[0] == rows
    batch = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        assert torch.equal(loaded(batch), model(batch))
    assert medzoo.transform(str(folder))(np.zeros((8, 8), np.uint8)).shape == (3, size, size)


# Layouts that are known from their authors' training code: (checkpoint, what the file holds around the network's names)
TRAINING_FILES = {
    "vit_small-sit-imagenet": (
        "teacher.module.backbone.",
        {
            "student.module.backbone.cls_token": (1, 1, 384), "student.module.head.mlp.0.weight": (4096, 384),
            "teacher.module.head.mlp.0.weight": (4096, 384), "teacher.module.head_recons.mlp.0.weight": (384, 384),
            "teacher.module.head_recons.convTrans.weight": (384, 3, 16, 16), "optimizer.state.0.exp_avg": (3,),
        },
    ),
    "vit_base-simmim-imagenet": (
        "model.encoder.",
        {
            "model.encoder.mask_token": (1, 1, 768), "model.decoder.0.weight": (768, 768, 1, 1),
            "model.encoder.rel_pos_bias.relative_position_index": (197, 197), "optimizer.state.0.exp_avg": (3,),
        },
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING_FILES)
def test_layouts_of_training_code(name, tmp_path, private_home):
    prefix, around = TRAINING_FILES[name]
    torch.manual_seed(0)
    entry = medzoo.info(name)
    model = draw(entry, LoadRequest(0, None, False, None, {}))
    state = {prefix + key: tensor for key, tensor in model.state_dict().items()}
    nested: dict = {"epoch": 800}
    for key, tensor in (state | {key: torch.zeros(shape) for key, shape in around.items()}).items():
        top, _, rest = key.partition(".")
        nested.setdefault(top, {})[rest] = tensor
    torch.save(nested, tmp_path / "training.pth")
    medzoo.convert(tmp_path / "training.pth", name)
    loaded = medzoo.load(name, accept_license=True).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in model.state_dict().items())
    nested[prefix.partition(".")[0]]["stranger.weight"] = torch.zeros(2)
    torch.save(nested, tmp_path / "training.pth")
    with raises(ConversionError, "keys-without-rule", match="stranger"):
        medzoo.convert(tmp_path / "training.pth", name)
