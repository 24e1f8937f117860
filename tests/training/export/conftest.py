"""A small network with a head, as fine-tuning writes it."""

import pytest
from predict_samples import trained

CALIBRATION = {"temperature": 2.0, "thresholds": [0.2], "rule": "youden", "split": "validation"}


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    folder = trained(tmp_path_factory.mktemp("run") / "net", "binary", calibration=CALIBRATION)
    return str(folder)
