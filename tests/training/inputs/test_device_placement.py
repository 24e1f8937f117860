"""Where training rows lie: as asked, where they fit, and after a stop where they lay before."""

import pytest
import torch
from expect import raises
from loop_samples import PLAN, fit, same_weights

from medzoo.data.decode_cache import device as devices
from medzoo.data.decode_cache.device import DeviceRows, fits, needed, on_device, place
from medzoo.data.transforms import apply as views
from medzoo.errors import DeviceMemoryError, UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.inputs.device_placement import place_rows
from medzoo.training.objectives import supervised
from medzoo.training.options.shared import SharedOptions
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch, rows):
    """A device that exists in name; `share` of its memory that the rows would take, and where they were asked to go."""

    class Gpu:
        share, asked, held = 0.1, [], 0

    found = Gpu()
    found.asked = []

    def memory(device):
        return int(needed(rows) / found.share), 0

    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: found.held)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(devices, "place", lambda data, device, choice: (found.asked.append(choice), data)[1])
    return found


def test_a_cpu_leaves_rows_in_the_store_unless_told(rows):
    assert place(rows, CPU) is rows and place(rows, CPU, "never") is rows and not fits(rows, CPU)
    there = place(rows, CPU, "always")
    assert isinstance(there.images, DeviceRows) and on_device(there) == CPU and on_device(rows) is None
    assert place(there, CPU, "always") is there and there.labels is rows.labels


@pytest.mark.parametrize(("share", "there"), [(0.49, True), (0.51, False)])
def test_auto_wants_half_of_the_free_memory_at_most(gpu, rows, share, there):
    gpu.share = share
    assert fits(rows, GPU) == there


def test_memory_that_this_process_holds_and_does_not_use_is_free(gpu, rows):
    gpu.share, gpu.held = 0.51, needed(rows)
    assert fits(rows, GPU)


def test_rows_stay_in_the_store_if_another_process_was_faster(tmp_path, gpu, rows, monkeypatch):
    class Full(DeviceRows):
        def __init__(self, *_):
            raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(devices, "place", place)
    monkeypatch.setattr(devices, "DeviceRows", Full)
    assert place(rows, GPU, "auto") is rows
    with raises(DeviceMemoryError, "images-exceed-device-memory"):
        place(rows, GPU, "always")
    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with run.open():
        assert place_rows(rows, GPU, "auto", run) is rows
    assert [row["data_on_device"] for row in run.rows() if "data_on_device" in row] == [False]


@pytest.mark.parametrize(("began", "later", "then"), [(0.3, 0.7, "always"), (0.7, 0.1, "never"), (0.3, 0.95, "never")])
def test_a_run_goes_on_as_it_began(tmp_path, gpu, rows, began, later, then):
    """Unless it no longer fits at all."""
    for share in (began, later):
        gpu.share = share
        run = RunFolder(tmp_path / "run", "finetune", {}, {})
        with pytest.raises(Interrupted), run.open():
            place_rows(rows, GPU, "auto", run)
            raise run.interrupted()
    assert gpu.asked == ["always" if began < 0.5 else "never", then]
    assert [row for row in run.rows() if "data_on_device" in row] == [{"step": 0, "data_on_device": began < 0.5}]


@pytest.mark.parametrize("choice", ["never", "always"])
def test_a_choice_is_a_choice(tmp_path, gpu, rows, choice):
    run = RunFolder(tmp_path / "run", "finetune", {}, {})
    with run.open():
        place_rows(rows, GPU, choice, run)
    assert gpu.asked == [choice] and run.rows() == []


@pytest.mark.parametrize("stop", [1, 6, 9])
def test_f38_a_run_with_its_rows_on_the_device_resumes_bit_for_bit(
    tmp_path, tiny_net, make_batches, rows, stop, monkeypatch
):
    monkeypatch.setattr(views, "_default_form", lambda device: "matmul")  # as on an accelerator

    def once(folder, stop=None):
        objective = supervised.Objective(tiny_net(), supervised.Options(), "multiclass")
        run = RunFolder(folder, "finetune", {}, {})
        run.stop_at_step = stop
        with run.open():
            batches = make_batches(workload=place_rows(rows, CPU, "always", run))
            fit(objective, batches, PLAN, run, make_accelerator("fp32", "cpu"))
        return objective

    straight = once(tmp_path / "straight")
    with pytest.raises(Interrupted):
        once(tmp_path / "cut", stop)
    assert same_weights(straight, once(tmp_path / "cut"))


def test_rows_that_find_no_memory_are_told(rows, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(devices, "DeviceRows", type("Full", (), {"__init__": full}))
    with raises(DeviceMemoryError, "images-exceed-device-memory"):
        place(rows, CPU, "always")


def test_the_option_is_checked():
    with raises(UsageError, "option-not-a-choice"):
        SharedOptions(task="x", data_on_device="gpu").check()
