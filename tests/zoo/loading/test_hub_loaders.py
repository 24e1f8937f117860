"""What medzoo pushed loads from the Hub through medzoo, timm and transformers alike, in a process of its own, also with Xet on."""

import json
import os
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from zoo_samples import CARD, small_model

import medzoo
from medzoo.zoo.folder.card_checks import problems

pytestmark = pytest.mark.slow
CODE = """
import json, sys
import medzoo.zoo.variants
import medzoo, timm, torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification
repo, side = sys.argv[1], int(sys.argv[2])
x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    ours = medzoo.load(repo)(x)
    head = medzoo.load(repo, num_classes="pretrained")(x)
    plain = timm.create_model(f"hf-hub:{repo}", pretrained=True, num_classes=0).eval()(x)
    auto = AutoModel.from_pretrained(repo).eval()(x).pooler_output
    classes = AutoModelForImageClassification.from_pretrained(repo).eval()(x).logits
processor = AutoImageProcessor.from_pretrained(repo)
print(json.dumps({
    "timm": torch.equal(ours, plain), "auto": float((auto - ours).abs().max() / ours.abs().max()),
    "classes": float((classes - head).abs().max() / head.abs().max()), "size": processor.data_config["input_size"],
}))
"""


@pytest.mark.parametrize(
    ("architecture", "xet"),
    # plain downloads by the three libraries: tests/test_hub_libraries.py
    [pytest.param("test_resnet", False, marks=pytest.mark.long), ("resnet18_cifar", True)],
)
def test_three_loaders_from_the_hub(hub_server, private_home, tmp_path, architecture, xet):
    if xet:
        hub_server.use_xet()
    rows = [{"task": "phantom_ct", "metric": "auroc", "value": 0.9, "dataset": "medzoo/results", "n": 10}]
    side = 64 if architecture == "test_resnet" else 32
    card = {**CARD, "input": {"size": side}, "results": rows}
    folder = medzoo.save(small_model(architecture), tmp_path / "folder", card=card)
    medzoo.push(folder, "lab/net", private=False)
    environment = os.environ | hub_server.child_environment(xet=xet) | {"MEDZOO_HOME": str(private_home)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, "lab/net", str(side)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["timm"] is True and found["auto"] <= 1e-5 and found["classes"] <= 1e-5
    assert found["size"] == [3, side, side]
    pushed = ModelCard.load("lab/net")
    assert pushed.data.license == "apache-2.0" and pushed.data.eval_results[0].metric_value == 0.9
    assert problems(str(pushed.content)) == []
    from huggingface_hub import hf_hub_download

    assert "phantom_ct" in open(hf_hub_download("lab/net", ".eval_results/phantom_ct.yaml")).read()  # noqa: PTH123, SIM115
