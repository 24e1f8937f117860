"""What a pre-training shows of itself: measurements by their formulas, probes on a watched task, pictures, and marks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contract_samples import small_options
from expect import raises
from PIL import Image
from safetensors.torch import load_file
from tiny import TinyNet, decoded_rows

import medzoo
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import UnknownNameError, UsageError
from medzoo.training.objectives import list_methods, method
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.pretrain_run import result
from medzoo.training.pretrain_run.health import feature_spread, is_collapsed, lidar, rank_me
from medzoo.training.pretrain_run.watch import TRAIN, VALIDATION, Watch, Watched, epochs_between, macro_auroc
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

DRAW = np.random.default_rng(0)
OCT = "phantom_oct,n=24,n_validation=12,n_test=4,image_size=32"


def test_rank_me_counts_directions():
    """Of equal strength it counts them; by the formula of the paper otherwise."""
    basis = np.linalg.qr(DRAW.normal(size=(20, 20)))[0]
    assert rank_me(basis[:, :7]) == pytest.approx(7)
    features = DRAW.normal(size=(30, 8)) * np.arange(1, 9)
    shares = np.linalg.svd(features)[1]
    shares = shares / shares.sum()
    assert rank_me(features) == pytest.approx(np.exp(-sum(share * np.log(share) for share in shares)))
    assert rank_me(np.zeros((4, 3))) == 1.0


def test_lidar_ignores_directions_in_which_views_differ():
    """Four images on four axes; noise of the views on other axes does not count, noise on the same axes lowers it."""
    centres = np.zeros((50, 1, 12))
    centres[:, 0, :4] = DRAW.normal(size=(50, 4))
    elsewhere = np.zeros((50, 10, 12))
    elsewhere[..., 6:] = DRAW.normal(size=(50, 10, 6))
    assert lidar(centres + elsewhere) == pytest.approx(4, abs=0.3)
    inside = np.zeros((50, 10, 12))
    inside[..., :1] = 30 * DRAW.normal(size=(50, 10, 1))
    assert lidar(centres + inside) == pytest.approx(3, abs=0.3)


def test_spread_is_one_for_directions_and_none_for_a_point():
    assert feature_spread(DRAW.normal(size=(2000, 64))) == pytest.approx(1, abs=0.02)
    assert feature_spread(5 + 1e-4 * DRAW.normal(size=(100, 64))) < 1e-3


@pytest.mark.parametrize(
    ("values", "collapsed"),
    [
        ({}, False), ({"feature_spread": 0.5, "rank_me": 20.0}, False), ({"feature_spread": 0.001, "rank_me": 20.0}, True),
        ({"feature_spread": 0.5, "rank_me": 1.0}, True), ({"feature_spread": float("nan"), "rank_me": 5.0}, True),
    ],
)  # fmt: skip
def test_what_counts_as_collapsed(values, collapsed):
    assert is_collapsed(values) == collapsed


def test_auroc_is_the_mean_over_classes_that_have_one():
    labels = np.array([[0, 1, np.nan], [1, 1, 0], [1, 1, np.nan], [0, 1, 1]])
    scores = np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.3], [0.9, 0.5, 0.9], [0.85, 0.5, 0.7]])
    assert macro_auroc(labels, scores) == pytest.approx((0.75 + 1.0) / 2)
    assert np.isnan(macro_auroc(np.zeros(3), np.ones((3, 2))))


def watch_of(net, **changes):
    rows = decoded_rows(40)
    watched = Watched("named", "multiclass", 3, rows.some(30, 0), rows.some(20, 1))
    usual = {"size": 16, "seed": 0, "every": 2, "epochs": 5, "watched": watched}
    law = Augmentation(min_area=0.5, flip=0.5)
    return Watch(net, lambda: [rows.some(16, 0)], InputConvention(), law, **{**usual, **changes})


def test_every_second_epoch_and_the_last_are_measured_without_a_trace():
    net = TinyNet(8).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    watch = watch_of(net)
    found = [watch(epoch) for epoch in range(5)]
    assert [bool(values) for values in found] == [False, True, False, True, True] and found[1] == found[4]
    assert set(found[1]) == {"feature_spread", "rank_me", "lidar", "named_knn", "named_linear"}
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


class Bright(TinyNet):
    """Features that are the brightness, which says the class in the tiny data."""

    def forward(self, x):
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)


def test_probes_see_what_the_features_hold():
    values = watch_of(Bright())(4)
    assert values["named_linear"] > 0.95 and values["named_knn"] > 0.95


def test_measurements_take_about_a_twentieth():
    watched = SimpleNamespace(
        train=SimpleNamespace(ids=range(TRAIN)), validation=SimpleNamespace(ids=range(VALIDATION))
    )
    for images in (500, 5_000, 50_000, 5_000_000):
        every = epochs_between(images, 2, watched, 1024)
        share = (1024 + 640 + TRAIN + VALIDATION) / (every * 3 * 2 * images)
        assert share <= 0.05 and (every == 1 or share > 0.02)


def options(tiny_hub, folder, **changes):
    usual = {
        "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": OCT, "size": 32, "epochs": 4,
        "batch_size": 12, "precision": "fp32", "out": str(folder), "license": "apache-2.0", "device": "cpu",
    }  # fmt: skip
    return PretrainOptions(**{**usual, **changes})


def measured(folder):
    return [row for row in RunFolder(folder, "pretrain", {}, {}).rows() if "rank_me" in row]


def test_a_run_with_a_watched_task_logs_it_and_resumes_with_the_same_log(tiny_hub, tmp_path, monkeypatch):
    watch = {"watch": "phantom_ct,n=24,n_validation=12,n_test=4,image_size=32", "watch_every": 2}
    straight = pretrain(options(tiny_hub, tmp_path / "straight", **watch))
    rows = measured(straight)
    assert [row["epoch"] for row in rows] == [1, 3]
    names = {name for name in rows[0] if name.endswith(("_knn", "_linear"))}
    assert len(names) == 2 and all(0 <= rows[0][name] <= 1 for name in names)
    init = RunFolder.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            RunFolder, "__init__", lambda self, *a, **k: (init(self, *a, **k), setattr(self, "stop_at_step", 5))[0]
        )
        with pytest.raises(Interrupted):
            pretrain(options(tiny_hub, tmp_path / "cut", **watch))
    assert measured(pretrain(options(tiny_hub, tmp_path / "cut", **watch))) == rows


def test_watching_changes_no_weight(tiny_hub, tmp_path):
    one, two = (
        pretrain(options(tiny_hub, tmp_path / str(every), watch_every=every)) / "checkpoint" / "model.safetensors"
        for every in (1, 3)
    )
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("keep", ["teacher", "student"])
def test_the_network_that_the_checkpoint_keeps_is_measured(tiny_hub, tmp_path, monkeypatch, keep):
    """Of DINO that is the teacher, unless the student is kept."""
    seen, call = {}, Watch.__call__

    def noting(self, epoch):
        seen.update({name: value.clone() for name, value in self.network.state_dict().items()})
        return call(self, epoch)

    monkeypatch.setattr(Watch, "__call__", noting)
    chosen = replace(small_options(method("dino")), keep=keep, momentum=0.5)
    folder = pretrain(options(tiny_hub, tmp_path / "run", method="dino", epochs=2, watch_every=2), chosen)
    stored = load_file(folder / "checkpoint" / "model.safetensors")
    assert stored.keys() <= seen.keys() and all(torch.equal(value, seen[name]) for name, value in stored.items())


@pytest.mark.parametrize("name", list_methods())
def test_an_objective_finishes_with_the_network_that_it_keeps(name, tiny_net):
    from loop_samples import objective_of

    objective, _ = objective_of(name, tiny_net)
    with torch.no_grad():
        for value in objective.kept_network.parameters():
            value.add_(1.0)
    kept = {name: value.clone() for name, value in objective.kept_network.state_dict().items()}
    objective.finish()
    assert all(torch.equal(value, kept[name]) for name, value in objective.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"watch": "phantom_octt"}, UnknownNameError, "unknown-task"),
        ({"watch": "phantom_lesions,n=8,n_validation=4,n_test=4"}, UsageError, "task-without-classes"),
        ({"watch_root": "."}, UsageError, "watch-root-without-watch"),
    ],
)
def test_a_task_that_probes_cannot_read(tiny_hub, tmp_path, changes, error, code):
    with raises(error, code):
        pretrain(options(tiny_hub, tmp_path / "run", **changes))


def test_pictures_show_the_views(tiny_hub, tmp_path, painted):
    folder = pretrain(options(tiny_hub, tmp_path / "run", epochs=1))
    picture = np.asarray(Image.open(folder / "pictures.png").convert("L"))
    assert min(picture.shape) > 200 and len(np.unique(picture)) > 20


def test_a_collapsed_run_is_marked_and_load_says_so(tiny_hub, tmp_path, monkeypatch):
    monkeypatch.setattr(result, "is_collapsed", lambda values: set(values) == {"feature_spread", "rank_me"})
    with pytest.warns(UserWarning, match="collapsed"):
        folder = pretrain(options(tiny_hub, tmp_path / "run", epochs=1))
    assert (
        json.loads((folder / "checkpoint" / "config.json").read_text())["medzoo"]["hyperparameters"]["collapsed"]
        is True
    )
    with pytest.warns(UserWarning, match="collapsed"):
        model = medzoo.load(str(folder))
    assert any("collapsed" in note for note in model.load_receipt.notes)
    assert "collapsed" in (folder / "checkpoint" / "README.md").read_text()


@pytest.mark.parametrize("name", list_methods())
def test_every_objective_shows_pictures(name, make_batches, tiny_net):
    from loop_samples import objective_of

    objective, views = objective_of(name, tiny_net)
    objective.start(steps=4, epoch_steps=2, seed=0)
    with torch.no_grad():
        pictures = objective.eval().pictures(make_batches(views)[0], 0)
    assert pictures and all(torch.isfinite(images).all() and images.ndim == 4 for images in pictures.values())
    assert small_options(method(name))
