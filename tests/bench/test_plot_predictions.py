"""The picture of the predictions on the test split: its panels, and what its curves show."""

import numpy as np
import pytest
from PIL import Image

from medzoo.bench.plot_predictions import draw_predictions, prediction_figure

pytestmark = pytest.mark.usefixtures("painted")
rng = np.random.default_rng(0)
MANY = np.array([[1.0, 0.0, np.nan], [0.0, 1.0, 1.0]] * 20)


@pytest.mark.parametrize(
    ("kind", "classes", "labels", "predicted", "panels", "curves"),
    [
        ("binary", ["no", "yes"], np.arange(40) % 2, rng.dirichlet([1, 1], 40), 3, 1),
        ("multiclass", ["a", "b", "c"], np.arange(40) % 3, rng.dirichlet([1, 1, 1], 40), 3, 3),
        ("multiclass", ["a", "b", "absent"], np.arange(40) % 2, rng.dirichlet([1, 1, 1], 40), 3, 2),
        (
            "multilabel",
            ["a", "b", "c"],
            MANY,
            rng.random((40, 3)),
            2,
            2,
        ),  # the third label is 1 in every annotated case
        ("binary", ["no", "yes"], np.zeros(40, int), rng.dirichlet([1, 1], 40), 3, 0),
    ],
)
def test_panels_and_curves(tmp_path, kind, classes, labels, predicted, panels, curves):
    figure = prediction_figure(kind, classes, labels, predicted)
    assert len(figure.axes) == panels
    roc = next(axis for axis in figure.axes if axis.get_title() == "ROC")
    assert len(roc.lines) == curves + 1  # and the diagonal
    path = draw_predictions(tmp_path, kind, classes, labels, predicted, "a $ title")
    assert path.name == "test.png" and path.read_bytes().startswith(b"\x89PNG")


def test_the_roc_curve_is_that_of_scikit_learn():
    from sklearn.metrics import auc

    labels, scores = np.arange(60) % 2, np.round(rng.random(60), 1)  # with ties
    figure = prediction_figure("binary", ["no", "yes"], labels, np.stack([1 - scores, scores], 1))
    line = figure.axes[1].lines[0]
    from sklearn.metrics import roc_auc_score

    assert auc(line.get_xdata(), line.get_ydata()) == pytest.approx(roc_auc_score(labels, scores))


def test_the_confusion_matrix_counts():
    figure = prediction_figure(
        "binary", ["no", "yes"], np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "1", "0", "1"]


def test_numbers_are_a_scatter_plot(tmp_path):
    figure = prediction_figure("regression", [], np.arange(5.0), np.arange(5.0)[:, None])
    assert len(figure.axes) == 1 and len(figure.axes[0].collections[0].get_offsets()) == 5
    path = draw_predictions(tmp_path, "regression", [], np.arange(5.0), np.arange(5.0)[:, None])
    with Image.open(path) as picture:
        assert picture.width > 400
