"""Cards, datasets, timm, transformers and Xet with the loopback Hub: what users do with a published checkpoint."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub_samples import REPO
from huggingface_hub import DatasetCard, EvalResult, HfApi, ModelCard, ModelCardData, metadata_update

pytest_plugins = "hub_fixture"


def child(server, code: str, *arguments: str, xet: bool = False) -> str:
    """What a Python program prints that has the Hub in its environment, as a user's has."""
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(
        command, env=server.child_environment(xet=xet), capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_cards(hub_server, hub_commit):
    card = ModelCard.load(REPO)
    assert card.data.license == "apache-2.0" and card.text == "# Tiny\n"
    card.data.tags.append("x-ray")
    card.push_to_hub(REPO)
    assert ModelCard.load(REPO).data.tags == ["medical", "x-ray"]
    for content in ("---\nlicense: [apache\n---\n", "---\ntags: 3\n---\n", "---\n- license\n---\n"):
        with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
            HfApi().upload_file(path_or_fileobj=content.encode(), path_in_repo="README.md", repo_id=REPO)
    with pytest.warns(UserWarning, match="no metadata"):
        HfApi().upload_file(path_or_fileobj=b"# Bare\n", path_in_repo="README.md", repo_id=REPO)


def test_results_in_a_card(hub_server, hub_commit):
    result = EvalResult("image-classification", "chest", "Chest", "auroc", 0.9)
    data = ModelCardData(model_name="tiny", eval_results=[result])
    metadata_update(REPO, data.to_dict())
    assert ModelCard.load(REPO).data.eval_results == [result]
    changed = ModelCardData(
        model_name="tiny", eval_results=[EvalResult("image-classification", "chest", "Chest", "auroc", 0.8)]
    )
    with pytest.raises(ValueError, match="overwrite"):
        metadata_update(REPO, changed.to_dict())
    metadata_update(REPO, changed.to_dict(), overwrite=True)
    assert ModelCard.load(REPO).data.eval_results[0].metric_value == 0.8


def test_a_dataset_goes_up_and_comes_back(hub_server, hub_datasets):
    rows = {"patient": ["a", "b", "c"], "label": [0, 1, 1]}
    hub_datasets.Dataset.from_dict(rows).push_to_hub("lab/rows", private=True)
    assert HfApi().repo_info("lab/rows", repo_type="dataset").private
    assert DatasetCard.load("lab/rows").data.configs[0]["config_name"] == "default"
    assert hub_datasets.load_dataset("lab/rows", split="train").to_dict() == rows
    streamed = hub_datasets.load_dataset("lab/rows", split="train", streaming=True)
    assert [row["patient"] for row in streamed] == ["a", "b", "c"]


def test_a_parquet_file_is_a_dataset(hub_server, hub_datasets, tmp_path):
    hub_datasets.Dataset.from_dict({"label": [3, 4]}).to_parquet(tmp_path / "rows.parquet")
    api = HfApi()
    api.create_repo("lab/plain", repo_type="dataset")
    made = api.upload_file(
        path_or_fileobj=tmp_path / "rows.parquet", path_in_repo="data/test-0.parquet", repo_id="lab/plain",
        repo_type="dataset",
    )  # fmt: skip
    assert len(hub_server.requests("PUT")) == 1  # parquet goes by LFS
    found = hub_datasets.load_dataset("lab/plain", split="test", revision=made.oid)
    assert found["label"][:] == [3, 4]


TIMM = """
import json, sys, timm, torch
from huggingface_hub import HfApi
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoModel

torch.manual_seed(0)
net = timm.create_model("test_resnet", num_classes=0).eval()
kept = {k: net.pretrained_cfg[k] for k in ("mean", "std", "interpolation", "first_conv", "classifier")}
kept |= {"input_size": [3, 64, 64], "crop_pct": 1.0, "num_classes": 0, "tag": "medzoo", "custom_load": False}
config = {"architecture": "test_resnet", "num_classes": 0, "num_features": net.num_features, "pretrained_cfg": kept}
folder = sys.argv[1]
save_file(net.state_dict(), f"{folder}/model.safetensors", metadata={"format": "pt"})
open(f"{folder}/config.json", "w").write(json.dumps(config))
api = HfApi()
api.create_repo("lab/net")
api.upload_folder(repo_id="lab/net", folder_path=folder)
api.create_tag("lab/net", tag="v1")
image = torch.rand(1, 3, 64, 64)
with torch.inference_mode():
    expected = net(image)
    for name in ("hf-hub:lab/net", "hf-hub:lab/net@v1"):
        again = timm.create_model(name, pretrained=True).eval()
        print(torch.equal(again(image), expected))
    wrapped = AutoModel.from_pretrained("lab/net").eval()
    print(torch.equal(wrapped(image).pooler_output, expected))
    print(type(AutoImageProcessor.from_pretrained("lab/net")).__name__)
"""


@pytest.mark.slow
def test_timm_and_transformers_in_a_process_of_their_own(hub_server, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    printed = child(hub_server, TIMM, str(folder)).split()
    assert printed == ["True", "True", "True", "TimmWrapperImageProcessor"]
    assert {row.user for row in hub_server.log if row.origin == "hub"} <= {"owner", None}


XET = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

folder = Path(sys.argv[1])
api = HfApi()
api.create_repo("lab/xet")
first = api.upload_folder(repo_id="lab/xet", folder_path=folder).oid
again = api.upload_folder(repo_id="lab/xet", folder_path=folder).oid
pull = api.upload_file(path_or_fileobj=b"1" * 9, path_in_repo="a.bin", repo_id="lab/xet", create_pr=True).pr_revision
found = Path(snapshot_download("lab/xet"))
same = [(found / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir()]
alone = Path(hf_hub_download("lab/xet", "a.bin", revision=pull)).read_bytes().decode()
info = api.get_paths_info("lab/xet", "model.safetensors")[0]
print(json.dumps([first == again, pull, all(same), alone, info.lfs.sha256, len(info.xet_hash)]))
"""


def test_xet_is_what_clients_use_if_left_alone(hub_server, tmp_path):
    """Xet as users have it on: hf_xet's own storage in a folder, in one process at a time."""
    from hashlib import sha256

    folder = tmp_path / "net"
    folder.mkdir()
    weights = bytes(range(256)) * 4000
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    hub_server.use_xet()
    told = json.loads(child(hub_server, XET, str(folder), xet=True))
    assert told == [True, "refs/pr/1", True, "1" * 9, sha256(weights).hexdigest(), 64]
    assert not hub_server.requests("PUT") and hub_server.requests("GET", "*/xet-write-token/*")
    assert Path(hub_server.child_environment()["HF_HOME"], "hub", "blobs").is_dir()  # shared by all repositories


def test_without_xet_clients_that_have_it_on_cannot_push(hub_server, tmp_path):
    code = (
        "import huggingface_hub as h\n"
        "h.create_repo('lab/x')\n"
        "try:\n    h.upload_file(path_or_fileobj=b'0', path_in_repo='a.bin', repo_id='lab/x')\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    assert "xet-write-token" in child(hub_server, code, xet=True)
