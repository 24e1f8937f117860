"""The picture of a run: points of short runs can be seen."""

import numpy as np
import pytest
from PIL import Image

from medzoo.training.run_state.plot_curves import curves, draw_curves
from medzoo.training.run_state.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("painted")


def run_of(folder, losses, scores):
    run = RunFolder(folder, "finetune", {}, {})
    for step, value in losses:
        run.log({"step": step, "epoch": 0, "learning_rate": 0.1, "loss": value})
    for step, value in scores:
        run.log({"step": step, "epoch": 0, "score": value})
    return run


@pytest.mark.parametrize(
    ("losses", "scores"),
    [
        ([(1, 0.7)], [(1, 0.6)]),  # one step of one epoch
        ([(10, 0.7)], []),  # pre-training without labels
        ([], [(3, 0.5)]),
        ([(10, 0.7), (20, float("nan"))], [(20, 0.5)]),  # diverged after a step
        ([(10, 0.7), (20, 0.6)], [(20, 0.5), (40, 0.5)]),
    ],
)
def test_every_point_of_a_short_run_is_marked(tmp_path, losses, scores):
    lines = [line for axis in curves(run_of(tmp_path, losses, scores)).axes for line in axis.lines]
    wanted = [[point for point in rows if point[1] == point[1]] for rows in (losses, scores) if rows]
    assert [list(zip(*line.get_data(), strict=True)) for line in lines] == wanted
    assert all(line.get_marker() in ("o", "s") and line.get_markersize() >= 3 for line in lines)


def test_the_point_of_one_epoch_stands_in_the_picture(tmp_path):
    def inked(losses, scores, name):
        run = run_of(tmp_path / name, losses, scores)
        draw_curves(run)
        picture = np.asarray(Image.open(run.path / "curves.png").convert("RGB")).astype(int)
        inside = picture[60:320, 120:720]  # between the axes, away from their labels
        blue, orange = (np.abs(inside - colour).sum(-1) < 90 for colour in ((31, 119, 180), (255, 127, 14)))
        return blue.sum(), orange.sum()

    for name in ("one $_$", "none"):  # no formula in the title
        (tmp_path / name).mkdir()
    blue, orange = inked([(1, 0.7)], [(1, 0.6)], "one $_$")
    assert blue > 10 and orange > 10  # neither hides the other
    assert inked([], [], "none") == (0, 0)


def test_long_runs_are_lines(tmp_path):
    (loss,) = curves(run_of(tmp_path, [(step, 1 / step) for step in range(1, 200)], [])).axes[0].lines
    assert loss.get_marker() in ("", "None")


def test_what_a_pre_training_measures_has_a_panel(tmp_path):
    run = run_of(tmp_path, [(10, 0.7)], [])
    for step, rank in ((10, 3.0), (20, 5.0)):
        probes = {"named_knn": 0.6 + step / 100, "named_linear": float("nan")}
        run.log({"step": step, "epoch": 0, "feature_spread": 0.2, "rank_me": rank, "lidar": 2 * rank, **probes})
    figure = curves(run)
    lines = {line.get_label(): line.get_data() for axis in figure.axes[1:] for line in axis.lines}
    assert list(lines["rank_me"][1]) == [3.0, 5.0] and list(lines["lidar"][1]) == [6.0, 10.0]
    assert list(lines["feature_spread"][1]) == [0.2, 0.2] and lines["named_knn"][1][1] == pytest.approx(0.8)
    (tmp_path / "plain").mkdir()
    assert len(curves(run_of(tmp_path / "plain", [(10, 0.7)], [])).axes) == 1
    draw_curves(run)
    assert np.asarray(Image.open(run.path / "curves.png").convert("L")).shape[0] > 600
