import contextlib
import zipfile

import numpy as np
import pytest
import torch
from bundles import write_bundle
from expect import raises
from upstream_files import builder

import medzoo
from medzoo.errors import ConversionError
from medzoo.zoo.convert.readers.detect import files_of, read_tensors

ARRAYS = {
    **{f"base_model/conv2d_{place}/kernel": np.random.default_rng(place).normal(size=(2, 3)).astype("f4") for place in range(50)},
    "global_step": np.array(7, "i8"), "wide": np.arange(3, dtype="f8"), "flag": np.array([True, False]),
}  # fmt: skip


@pytest.fixture
def prefix(tmp_path):
    return write_bundle(tmp_path / "model.ckpt-7", ARRAYS)


@pytest.mark.parametrize("tail", ["", ".index", ".data-00000-of-00001"])
def test_every_way_to_name_it(prefix, tail):
    found = read_tensors(prefix.with_name(prefix.name + tail))
    assert {name: tensor.numpy().tolist() for name, tensor in found.items()} == {
        name: a.tolist() for name, a in ARRAYS.items()
    }
    assert [path.name for path in files_of(prefix)] == [prefix.name + ".index", prefix.name + ".data-00000-of-00001"]


def test_the_folder_and_the_zip(prefix, tmp_path):
    assert len(read_tensors(prefix.parent)) == len(ARRAYS)
    with zipfile.ZipFile(tmp_path / "ResNet50_1x.zip", "w") as archive:
        for path in files_of(prefix):
            archive.write(path, f"ResNet50_1x/{path.name}")
        archive.writestr("ResNet50_1x/checkpoint", "model_checkpoint_path: x")
    assert len(read_tensors(tmp_path / "ResNet50_1x.zip")) == len(ARRAYS)
    with zipfile.ZipFile(tmp_path / "ResNet50_1x.zip", "a") as archive:
        archive.writestr("other.index", b"x")
    with raises(ConversionError, "several-bundles"):
        read_tensors(tmp_path / "ResNet50_1x.zip")


def test_what_is_missing_or_damaged(prefix):
    index, shard = files_of(prefix)
    whole = index.read_bytes()
    for content, says in (
        (whole[:-9], "bundle-damaged"),
        (whole[:40] + b"\xff" * 40 + whole[80:], "bundle-damaged"),
    ):
        index.write_bytes(content)
        with raises(ConversionError, says):
            read_tensors(prefix)
    index.write_bytes(whole)
    shard.write_bytes(shard.read_bytes()[:-40])
    with raises(ConversionError, "bundle-shard-truncated", match="truncated"):
        read_tensors(prefix)
    shard.unlink()
    with raises(ConversionError, "bundle-shard-missing"):
        read_tensors(prefix)
    index.unlink()
    with raises(ConversionError, "no-such-file"):
        read_tensors(prefix)


def test_any_damage_to_the_index_ends_in_a_sentence(prefix):
    index, _ = files_of(prefix)
    whole = index.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 300):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(ConversionError):
            read_tensors(prefix)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["simclr-v1", "simclr-v2"])
def test_simclr_computes_what_upstream_computes(tmp_path, identifier):
    """As the manifests say, written without TensorFlow."""
    build = builder()
    arrays = dict(build.content(build.manifest(identifier))) | {"global_step": np.array(1, "i8")}
    prefix = write_bundle(tmp_path / "model.ckpt-225206", arrays)
    name = {"simclr-v1": "resnet50-simclrv1-imagenet", "simclr-v2": "resnet50-simclrv2-imagenet"}[identifier]
    model = medzoo.load(str(medzoo.convert(prefix, name, out=tmp_path / "folder")))
    want = build.expected("simclr-v1")  # the backbones of both are one
    if identifier == "simclr-v2" and build.expected("simclr-v2") is None:
        assert model.maxpool.__class__.__name__ == "MaxPool2dSame"
        return
    with torch.inference_mode():
        have = model(torch.from_numpy(build.input_tensor(identifier))).numpy()
    assert np.abs(have - want).max() <= 1e-5 * np.abs(want).max()
