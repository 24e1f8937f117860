"""`load` on a device: it exists, the weights fit into its free memory, and the error comes before the weights are read."""

import pytest
import torch
from devices import DEVICES, far
from expect import raises
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import DeviceMemoryError, UsageError
from medzoo.precision import full_float32
from medzoo.zoo.loading import devices, load
from medzoo.zoo.loading.devices import existing_device, loaded_bytes


@pytest.fixture
def folder(tmp_path):
    return medzoo.save(
        small_model("test_resnet", 3), tmp_path / "f", card={**CARD, "name": "test_resnet-drawn", "input": {}}
    )


@pytest.fixture
def gpu(monkeypatch):
    """A machine with two GPUs, as torch reports it; `gpu.free` is their free memory, `gpu.moved` where networks went."""

    class Gpu:
        free, held, used, moved = 0, 0, 0, []

    Gpu.moved = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (Gpu.free, 10**12))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: Gpu.held)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: Gpu.used)
    move = torch.nn.Module.to

    def to(self, *args, **kwargs):
        if "device" in kwargs:
            Gpu.moved.append(str(kwargs["device"]))
            return self
        return move(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    return Gpu


@pytest.fixture
def unread(monkeypatch):
    """Reading or hashing weights is an error."""

    def fail(*args, **kwargs):
        raise AssertionError("the weights were read")

    monkeypatch.setattr(load, "verify_folder", fail)
    monkeypatch.setattr("medzoo.zoo.loading.assemble.read_weights", fail)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", torch.device("cuda"), "mps", "xpu:1", "cpu:3"])
def test_a_device_that_is_not_there(device, monkeypatch, folder, unread):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises(UsageError, "device-missing", match="this machine has cpu"):
        medzoo.load(folder, device=device)


def test_the_error_lists_the_devices_there_are(gpu):
    with raises(UsageError, "device-missing", match="this machine has cpu, cuda:0, cuda:1"):
        medzoo.load("resnet18_cifar-random", device="cuda:7")
    assert existing_device("cuda:1") == torch.device("cuda:1") and existing_device(None) is None
    assert existing_device("meta") == torch.device("meta")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", 1.5, "cpu\0", object(), 2**80])
def test_a_text_that_names_no_device(device):
    with raises(UsageError, "device-invalid", match="cpu"):
        medzoo.load("resnet18_cifar-random", device=device)


@pytest.mark.parametrize("classes", [0, "pretrained"])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, "float64"])
def test_the_border_is_the_size_of_the_weights(folder, gpu, classes, dtype):
    model = medzoo.load(folder, num_classes=classes, dtype=dtype)
    needed = model.load_receipt.weight_bytes
    assert needed == loaded_bytes(model) == sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    gpu.free = needed
    assert medzoo.load(folder, num_classes=classes, dtype=dtype, device="cuda").load_receipt.weight_bytes == needed
    assert gpu.moved == ["cuda"]
    gpu.free = needed - 1
    with raises(DeviceMemoryError, "weights-exceed-device-memory"):
        medzoo.load(folder, num_classes=classes, dtype=dtype, device="cuda")
    assert gpu.moved == ["cuda"]


def test_the_error_comes_before_the_weights_are_read(folder, gpu, unread):
    gpu.free = 1000
    with raises(
        DeviceMemoryError, "weights-exceed-device-memory", match=r"need .* MB, but cuda:1 has 0.0 MB free"
    ) as caught:
        medzoo.load(folder, device="cuda:1")
    text = str(caught.value)
    assert "torch.bfloat16" in text and "(cpu, cuda:0)" in text and "test_resnet-drawn" in text
    with raises(DeviceMemoryError, "weights-exceed-device-memory") as caught:
        medzoo.load(folder, device="cuda:1", dtype="float16")
    assert "bfloat16" not in str(caught.value)


@pytest.mark.parametrize(
    "more", [{"features_only": True}, {"drop_path_rate": 0.0}, {"num_classes": 5}, {"in_chans": 1}]
)
def test_other_networks_of_a_folder_are_checked_before_they_move(folder, gpu, more):
    gpu.free = medzoo.load(folder, **more).load_receipt.weight_bytes - 1
    with raises(DeviceMemoryError, "weights-exceed-device-memory"):
        medzoo.load(folder, device="cuda", **more)
    assert not gpu.moved


def test_random_weights_are_checked_and_memory_of_this_process_counts_as_free(gpu):
    needed = medzoo.load("resnet18_cifar-random").load_receipt.weight_bytes
    assert needed > 4 * medzoo.info("resnet18_cifar-random").facts["parameters"]
    gpu.free, gpu.held, gpu.used = needed - 100, 150, 50
    medzoo.load("resnet18_cifar-random", device="cuda")
    gpu.used = 51
    with raises(DeviceMemoryError, "weights-exceed-device-memory"):
        medzoo.load("resnet18_cifar-random", device="cuda")


def test_a_damaged_file_is_reported_as_damaged(folder, gpu):
    (folder / "model.safetensors").write_bytes(b"<html>")
    with raises(medzoo.errors.IntegrityError, "weights-truncated"):
        medzoo.load(folder, device="cuda")


def test_a_torch_without_cuda_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for version, named in ((None, True), ("13.0", False)):
        monkeypatch.setattr(torch.version, "cuda", version)
        with raises(UsageError, "device-missing") as caught:
            devices.existing_device("cuda")
        assert ("built without CUDA" in str(caught.value)) is named


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "limit"), [(None, 1e-4), ("bfloat16", 5e-2)])
def test_a_network_on_a_device_computes_what_the_stored_one_does(folder, device, dtype, limit):
    """Up to the rounding of float32 (cuDNN may convolve by Winograd's method), or of bfloat16 weights and values with 8 bits."""
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), full_float32("cuda"):
        expected = medzoo.load(folder, num_classes="pretrained").double()(images.double())
        model = medzoo.load(folder, num_classes="pretrained", device=device, dtype=dtype)
        found = model(images.to(device, next(model.parameters()).dtype))
    assert found.device.type == device and far(found.float(), expected) < limit
    assert {value.device.type for value in model.state_dict().values()} == {device}


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_on_a_device_is_saved_as_it_is(folder, device, tmp_path):
    model = medzoo.load(folder, num_classes="pretrained", device=device)
    medzoo.save(model, tmp_path / "again", card={**CARD, "name": "test_resnet-drawn", "input": {}})
    again = medzoo.load(tmp_path / "again", num_classes="pretrained").state_dict()
    assert all(torch.equal(value.cpu(), again[key]) for key, value in model.state_dict().items())
    assert next(model.parameters()).device.type == device


@pytest.mark.gpu
def test_a_real_gpu():
    model = medzoo.load("resnet18_cifar-random", device="cuda", dtype="bfloat16")
    assert next(model.parameters()).is_cuda and model.load_receipt.weight_bytes == loaded_bytes(model)
    devices.check_memory(1, torch.device("cuda"), "x")
    with raises(DeviceMemoryError, "weights-exceed-device-memory"):
        devices.check_memory(10**15, torch.device("cuda"), "x")
