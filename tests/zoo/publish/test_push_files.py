"""What leaves a folder is an allow-list of exact names: whatever else lies there stays, by every way out."""

import json

import pytest
from huggingface_hub import HfApi
from zoo_samples import CARD, small_model

import medzoo
from medzoo.zoo.publish.publish import publish
from medzoo.zoo.publish.push import plan_push
from medzoo.zoo.registry.locations import cached_folder

ALLOWED = {"model.safetensors", "config.json", "README.md", "LICENSE", "NOTICE"}
# what people's folders hold, by ending, without one, hidden, in other spellings of the allowed names, and below folders
PRIVATE = [
    "patients.csv", "splits.tsv", "labels.txt", "worklist.xlsx", "notes.md", "options.json", "result.json", "log.jsonl",
    "preprocessor.yaml", "predictions.parquet", "options.toml", "patients", "ids", ".env", ".gitconfig", ".claim", "a.npy",
    "scan.dcm", "scan.nii.gz", "shot.png", "pytorch_model.bin", "optimizer.pt", "old.safetensors", "train.py", "page.html",
    "readme.md", "README.txt", "LICENSE.md", "LICENSE.txt", "license", "NOTICE.txt", "Notice", "config.json.bak", "model.onnx",
    "sub/patients.csv", "sub/README.md", "sub/config.json", "resume/step-1/facts.json", "patients.csv.gz", "results.salt",
]  # fmt: skip


@pytest.fixture
def full(folder):
    """A checkpoint's folder with a LICENSE and a NOTICE, in which a person has worked."""
    for name in PRIVATE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("name,born\nErika Mustermann,1964-08-12\n")
    for name in ("LICENSE", "NOTICE"):
        (folder / name).write_text("Do what you like.")
    return folder


@pytest.fixture
def hub(hub_server):
    for name in ("org", "medzoo"):
        hub_server.members[name] = {hub_server.owner}
    return hub_server


def held(repo="org/name", revision=None):
    return set(HfApi().list_repo_files(repo, revision=revision)) - {".gitattributes"}  # which the Hub writes itself


def below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_push_takes_the_allowed_names_alone(full, hub):
    medzoo.push(full, "org/name")
    assert held() == ALLOWED
    assert not any("Mustermann" in str(request) for request in hub.log)


def test_a_pull_request_and_a_branch_take_no_more(full, hub):
    HfApi().create_repo("org/name")
    medzoo.push(full, "org/name", create_pr=True)
    medzoo.push(full, "org/name", revision="v2")
    assert held(revision="refs/pr/1") == held(revision="v2") == ALLOWED


def test_a_run_folder_gives_its_checkpoint_alone(folder, tmp_path, hub):
    """Beside `checkpoint/` lie options, logs and results of a run."""
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "checkpoint")
    for name in ("options.toml", "status.json", "log.jsonl", "result.json", "LICENSE", "NOTICE", "patients.csv"):
        (run / name).write_text("private")
    medzoo.push(run, "org/name")
    assert held() == {"model.safetensors", "config.json", "README.md"}


def test_a_dry_run_shows_what_goes_and_what_stays(full):
    plan = plan_push(full, "org/name")
    assert {plan.weights.name, *plan.texts} == ALLOWED and set(plan.left_out) == set(PRIVATE)
    assert "patients.csv" in plan_push(full, "org/name", hub=full.parent / "hub").left_out


def test_a_directory_hub_and_a_stick_get_no_more(full, tmp_path):
    medzoo.push(full, "org/name", hub=tmp_path / "hub")
    assert below(tmp_path / "hub") == {f"org/name/{name}" for name in ALLOWED}
    copy = medzoo.fetch(str(full), to=tmp_path / "stick")
    assert below(copy) == ALLOWED


def test_publishing_a_name_takes_no_more(entry, hub):
    name = entry(
        'access = "direct"\nurl = "https://example.org/x.safetensors"', extra='[citation]\ntitle = "A paper"\n'
    )
    folder = medzoo.save(small_model(num_classes=0), cached_folder(name), card=medzoo.info(name))
    for private in PRIVATE:
        (folder / private).parent.mkdir(parents=True, exist_ok=True)
        (folder / private).write_text("private")
    (folder.parent / "terms").write_text("MIT License, Copyright 2020 A. Author")
    publish(name, license_file=folder.parent / "terms")
    assert held(f"medzoo/{name}") == ALLOWED


def test_results_on_the_card_add_their_one_file(tmp_path, hub):
    """The numbers of a card go to the Hub's own place for them, and nothing beside it."""
    rows = [{"task": "phantom_ct", "metric": "auroc", "label": None, "value": 0.9, "n": 40}]
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, "results": rows})
    (folder / "patients.csv").write_text("private")
    medzoo.push(folder, "org/name")
    more = held() - {"model.safetensors", "config.json", "README.md"}
    assert all(name.startswith(".eval_results/") for name in more) and "patients.csv" not in json.dumps(sorted(more))
