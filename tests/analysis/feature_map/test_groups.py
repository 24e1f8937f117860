"""Names of points for every kind of task."""

import numpy as np

from medzoo.analysis.feature_map.groups import class_names, targets
from medzoo.data.task_registry import task_info


def test_names():
    assert class_names("binary", ("no", "yes"), np.array([0, 1])).tolist() == ["no", "yes"]
    assert class_names("regression", (), np.arange(3.0)).tolist() == ["low third", "middle third", "high third"]
    assert set(class_names("segmentation", ("lesion",), np.zeros(3))) == {"image"}


def test_labels_that_are_not_annotated_are_not_used():
    labels = np.array([[1, 0], [np.nan, 1], [0, 0]])
    _, used = targets(task_info("chestxray14"), ("a", "b"), labels)
    assert used.tolist() == [True, False, True]
    assert targets(task_info("phantom_lesions"), ("lesion",), np.zeros(2))[0] is None
