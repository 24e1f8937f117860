"""`medzoo.predict` on the test images of a run gives the probabilities that the run stored, for every way to look at an image."""

import json

import numpy as np
import pandas
import pytest
from PIL import Image

import medzoo
from medzoo.bench.metrics import apply_temperature
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, run_cell


@pytest.mark.parametrize(
    ("lines", "schema_key"),
    [
        ("", False),
        ("crop_share = 0.5", True),
        ('augmented_test = "flip"', True),
        ('crop_share = 0.5\naugmented_test = "ten_crop"', True),
        ('loss = "sigmoid"', True),
    ],
)
def test_the_probabilities_of_the_test(tiny_hub, tmp_path, lines, schema_key):
    protocol = tmp_path / "own.toml"
    protocol.write_text(f"[finetune]\nlearning_rate = 1e-2\n{lines}\n")
    outcome = run_cell(
        CellOptions(
            checkpoint="lab/tiny", hub=str(tiny_hub), task="phantom_oct,n=24,n_validation=12,n_test=8", size=32, epochs=1,
            batch_size=8, precision="fp32", device="cpu", protocol=str(protocol), out=str(tmp_path / "run"),
            results=str(tmp_path / "results"),
        )
    )  # fmt: skip
    stored = pandas.read_parquet(results.predictions_path(outcome.path))
    config = json.loads((outcome.run / "checkpoint" / "config.json").read_text())
    assert ("evaluation" in config["medzoo"]) == schema_key
    assert config["pretrained_cfg"]["crop_pct"] == (0.5 if "crop_share" in lines else 1.0)
    task, images = medzoo.load_task("phantom_oct,n=24,n_validation=12,n_test=8"), []
    for index in range(8):
        images.append(tmp_path / f"{index}.png")
        Image.fromarray(task.read("test", index)[0].array).save(images[-1])
    frame = medzoo.predict(outcome.run, images, device="cpu")
    temperature = outcome.result["selection"]["temperature"]
    before = stored[[f"probability:{name}" for name in task.classes]].to_numpy()
    found = frame[[f"probability_{name}" for name in task.classes]].to_numpy()
    np.testing.assert_allclose(found, apply_temperature(before, temperature, task.kind), atol=2e-6)
