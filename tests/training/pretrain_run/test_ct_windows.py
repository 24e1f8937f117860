"""CT windows as an augmentation: what a view shows, what is drawn, what is refused, and the run that comes out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from expect import raises
from PIL import Image
from tiny import TinyNet, decoded_rows

import medzoo
from medzoo.data.images.ct_windows import window_named
from medzoo.data.images.read import apply_window
from medzoo.data.readers.hu_scale import on_hu_scale
from medzoo.data.shards.index import read_index
from medzoo.data.shards.write import write_shards
from medzoo.data.task_registry import load_task
from medzoo.data.transforms.apply import Augmentation, InputConvention, augment, to_unit, whole_in_window
from medzoo.errors import RunFolderError, UnknownNameError, UsageError
from medzoo.training.inputs.views import View
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.pretrain_run.ct_windows import in_ct_windows
from medzoo.training.pretrain_run.watch import Watch

CT = "phantom_ct,n=12,n_validation=4,n_test=4,image_size=32"
NAMES = "lung,mediastinum,bone"


def options(tmp_path, tiny_hub=None, **changes):
    usual = {
        "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": CT, "size": 32, "epochs": 1, "batch_size": 6,
        "precision": "fp32", "out": str(tmp_path / "run"), "license": "apache-2.0", "device": "cpu", "ct_windows": NAMES,
    }  # fmt: skip
    return PretrainOptions(**{**usual, **changes})


def view_law(tmp_path, **changes):
    law = Augmentation(flip=0.5, brightness=0.2)
    (view,) = in_ct_windows([View(law)], options(tmp_path, **changes), InputConvention())
    assert replace(view.augmentation, windows=(), window_jitter=0.0) == law
    return view.augmentation


def seen(law, unit, first=0):
    indices = np.arange(first, first + len(unit))
    return augment(unit, law, unit.shape[-1], seed=0, epoch=0, indices=indices, stream="v")


@pytest.mark.parametrize("name", ["lung", "mediastinum", "bone", "brain", "full"])
def test_a_view_without_jitter_shows_the_named_window(tmp_path, name):
    wide = on_hu_scale(load_task(CT))
    hu = [wide.read("train", row)[0] for row in range(4)]
    unit = to_unit(np.stack([np.round((one.array + 1024.0) / 4095 * 65535) for one in hu]).astype(np.uint16), 65535.0)
    law = replace(view_law(tmp_path, ct_windows=name, ct_window_jitter=0.0), flip=0.0, brightness=0.0)
    low, high = window_named(name)
    for one, found in zip(hu, seen(law, unit), strict=True):
        expected = (np.asarray(apply_window(one, (low, high)).array, np.float64) - low) / (high - low)
        assert np.abs(found[0].numpy() - expected).max() < 0.5 / 16 / (high - low) + 1e-5
    assert torch.equal(whole_in_window(unit, 32, law), seen(law, unit)) or name == "full"


def test_windows_are_drawn_equally_often_and_jittered_within_their_limits(tmp_path):
    law = view_law(tmp_path, ct_window_jitter=0.3)
    from medzoo.data.transforms.random_params import draw

    drawn = draw(law, (8, 8), 8, seed=0, epoch=0, indices=np.arange(9000), stream="v").windows.numpy()
    low, width = drawn[:, 0] * 4095 - 1024, drawn[:, 1] * 4095
    shares = []
    for name in NAMES.split(","):
        start, end = window_named(name)
        usual = end - start
        scale, move = width / usual, (low + width / 2 - (start + end) / 2) / usual
        inside = (abs(scale - 1) <= 0.3 + 1e-9) & (abs(move) <= 0.15 + 1e-9)
        shares.append(inside)
        assert np.abs(np.quantile(scale[inside], [0.1, 0.5, 0.9]) - [0.76, 1.0, 1.24]).max() < 0.03
        assert np.abs(np.quantile(move[inside], [0.1, 0.5, 0.9]) - [-0.12, 0.0, 0.12]).max() < 0.015
        assert abs(np.corrcoef(scale[inside], move[inside])[0, 1]) < 0.06
    shares = np.array(shares)
    assert shares.any(0).all() and np.abs(shares.mean(1) - 1 / 3).max() < 0.02


def test_packing_does_not_change_a_view_and_other_draws_stay(tmp_path):
    unit = torch.rand(7, 1, 16, 16)
    law = replace(view_law(tmp_path), min_area=0.4, blur=0.5, solarize=0.5, rotation=10.0)
    together = seen(law, unit)
    for row in range(7):
        assert torch.equal(seen(law, unit[row : row + 1], row)[0], together[row])
    assert together.min() >= 0 and together.max() <= 1 + 1e-6
    whole = replace(law, windows=((0.0, 1.0),), window_jitter=0.0)
    assert (seen(whole, unit) - seen(replace(law, windows=()), unit)).abs().max() < 1e-6


def test_features_are_measured_in_the_first_window(tmp_path):
    rows = decoded_rows(12)
    law = Augmentation(windows=((0.25, 0.5), (0.6, 0.9)), window_jitter=0.1)

    def watch(law):
        return Watch(TinyNet(), lambda: [rows], InputConvention(), law, size=16, seed=0, every=1, epochs=1)

    unit = to_unit(np.asarray(rows.images[:]), rows.scale)
    shown = whole_in_window(unit, unit.shape[-1], law)
    assert torch.allclose(shown, ((unit - 0.25) / 0.25).clamp(0, 1)) and not torch.equal(shown, unit)
    assert torch.equal(whole_in_window(unit, unit.shape[-1], Augmentation()), unit)
    inside, plain = watch(law), watch(Augmentation())
    plain.network = inside.network
    assert inside(0)["feature_spread"] != plain(0)["feature_spread"]


def test_a_run_names_its_windows_and_is_another_run_without_them(tiny_hub, tmp_path):
    folder = pretrain(options(tmp_path, tiny_hub, ct_window_jitter=0.1))
    step = medzoo.load(str(folder)).load_receipt.lineage[-1]
    assert "phantom_ct" in str(step)
    assert f'ct_windows = "{NAMES}"' in (folder / "options.toml").read_text()
    with raises(RunFolderError, "folder-of-other-run"):
        pretrain(options(tmp_path, tiny_hub, ct_windows=None))
    # the images are the same, so only the windows can change the weights
    plain = pretrain(options(tmp_path, tiny_hub, ct_windows="full", ct_window_jitter=0.0, out=str(tmp_path / "plain")))
    one, other = (
        torch.cat([value.flatten() for value in medzoo.load(str(run)).parameters()]) for run in (folder, plain)
    )
    assert not torch.equal(one, other)


def test_a_supervised_run_scores_validation_in_the_first_window(tiny_hub, tmp_path, monkeypatch):
    seen_windows = []

    def watched(batch, size, augmentation):
        seen_windows.append(augmentation.windows[0])
        return whole_in_window(batch, size, augmentation)

    monkeypatch.setattr("medzoo.training.pretrain.whole_in_window", watched)
    pretrain(options(tmp_path, tiny_hub, method="supervised", ct_windows="-1024:3071,lung"))
    assert set(seen_windows) == {(0.0, 1.0)}


def test_a_mix_needs_ct_in_every_part(tiny_hub, tmp_path):
    file = tmp_path / "mix.toml"
    file.write_text(f'[[source]]\ntask = "{CT}"\n[[source]]\ntask = "{CT},data_seed=1"\n')
    assert pretrain(options(tmp_path, tiny_hub, task=f"mix:{file}", data_name="both")).is_dir()
    file.write_text(f'[[source]]\ntask = "{CT}"\n[[source]]\ntask = "phantom_oct,n=12"\n')
    with raises(UsageError, "ct-windows-need-hu", match="phantom_oct"):
        pretrain(options(tmp_path, tiny_hub, task=f"mix:{file}", out=str(tmp_path / "other")))


@pytest.mark.parametrize(("format", "size"), [("parquet", None), ("webdataset", None), ("parquet", 32)])
def test_shards_in_hu_have_the_images_of_the_task(tmp_path, format, size):
    write_shards(load_task(CT), tmp_path / "s", format=format, size=size, shuffle=False, hu=True)
    index = read_index(tmp_path / "s")
    assert index.hu and index.info.window is None
    shards, wide = load_task(f"shards:{tmp_path}/s"), on_hu_scale(load_task(CT))
    for row in range(3):
        stored, pixels = shards.read("train", row)[0], wide.read("train", row)[0]
        low, high = pixels.range
        unit = (stored.array - stored.range[0]) / (stored.range[1] - stored.range[0])
        assert np.abs(low + unit * (high - low) - pixels.array).max() <= 1 / 16  # HU


def test_shards_in_hu_are_another_folder_and_other_data_are_refused(tmp_path):
    task = load_task(CT)
    write_shards(task, tmp_path / "s", shuffle=False)
    assert not read_index(tmp_path / "s").hu
    with raises(RunFolderError, "other-shards-in-folder"):
        write_shards(task, tmp_path / "s", shuffle=False, hu=True)
    with raises(UsageError, "ct-windows-need-hu"):
        write_shards(load_task("phantom_oct,n=12"), tmp_path / "o", hu=True)


def test_shards_in_hu_can_be_trained_on_in_windows(tiny_hub, tmp_path):
    for name, hu in (("s", True), ("plain", False)):
        write_shards(load_task(CT), tmp_path / name, shuffle=False, hu=hu)
    folder = pretrain(options(tmp_path, tiny_hub, task=f"shards:{tmp_path}/s"))
    other = pretrain(options(tmp_path, tiny_hub, task=f"shards:{tmp_path}/s", ct_windows="full", ct_window_jitter=0.0,
                             out=str(tmp_path / "full")))  # fmt: skip
    one, two = (torch.cat([value.flatten() for value in medzoo.load(str(run)).parameters()]) for run in (folder, other))
    assert not torch.equal(one, two)
    file = tmp_path / "mix.toml"
    file.write_text(f'[[source]]\ntask = "{CT}"\n[[source]]\ntask = "shards:{tmp_path}/s"\n')
    assert pretrain(options(tmp_path, tiny_hub, task=f"mix:{file}", data_name="both", out=str(tmp_path / "m"))).is_dir()
    with raises(UsageError, "ct-windows-need-hu", match="--hu"):
        pretrain(options(tmp_path, tiny_hub, task=f"shards:{tmp_path}/plain", out=str(tmp_path / "p")))


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"task": "phantom_oct,n=12"}, UsageError, "ct-windows-need-hu"),
        ({"ct_windows": "lungs"}, UnknownNameError, "unknown-window"),
        ({"ct_windows": "percentile:1,99"}, UsageError, ("window-rule-not-allowed", "window-rule-invalid")),
        ({"ct_windows": ""}, UnknownNameError, "unknown-window"),
        ({"ct_windows": "lung,5000:6000"}, UsageError, "ct-window-outside-scale"),
        ({"ct_windows": None, "ct_window_jitter": 0.1}, UsageError, "jitter-without-ct-windows"),
        ({"ct_window_jitter": 1.0}, UsageError, "option-out-of-range"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_run(tiny_hub, tmp_path, changes, error, code):
    with raises(error, code):
        pretrain(options(tmp_path, tiny_hub, **changes))
    assert not (tmp_path / "run").exists()


def test_windows_in_two_places_are_refused(tiny_hub, tmp_path):
    for number in range(2):
        Image.new("L", (8, 8)).save(tmp_path / f"{number}.png")
    with raises(UsageError, "ct-windows-and-window", match="window=lung"):
        pretrain(options(tmp_path, tiny_hub, task=f"folder:{tmp_path},window=lung", groups="none"))


def test_a_rule_that_stretches_each_image_is_refused(tiny_hub, tmp_path):
    stretched = {"checkpoint": None, "hub": None, "architecture": "test_resnet", "input_rule": "per_image_minmax"}
    with raises(UsageError, "ct-windows-with-minmax"):
        pretrain(options(tmp_path, tiny_hub, **stretched))
