"""Results to the Hub and back: over HTTP by the real client, salted, idempotent, in one commit."""

import hashlib
import io
import json
import os
import shutil
import stat
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sharing_samples as samples
import yaml
from expect import raises
from huggingface_hub import DatasetCard, HfApi
from sharing_samples import SALT

import medzoo
from medzoo.bench.results.record import parquet_bytes
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.results.untrusted import read_predictions
from medzoo.bench.review.review import review_store
from medzoo.bench.sharing import push_pull
from medzoo.bench.sharing.flat_table import ORDER, export, flat_table, read_flat, results_of
from medzoo.bench.sharing.import_runs import import_results
from medzoo.bench.sharing.layout import predictions_file, run_file
from medzoo.bench.sharing.pseudonymize import is_salted, read_salt, salt_path, salted, store_salt
from medzoo.bench.sharing.push_pull import pull_results, push_results
from medzoo.data.task_registry import task_info
from medzoo.errors import IntegrityError, PublishError, ResultError, UsageError
from medzoo.zoo.publish import upload

REPO = "lab/results"
RUNS = 8


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    samples.read_here(monkeypatch)


@pytest.fixture
def store(tmp_path):
    return samples.fill(tmp_path / "results")


def tree(repo=REPO, revision=None):
    """The files of the repository with their hashes."""
    info = HfApi().repo_info(repo, repo_type="dataset", revision=revision, files_metadata=True)
    return {row.rfilename: (row.lfs.sha256 if row.lfs else row.blob_id) for row in info.siblings}


def contents(repo=REPO, revision=None):
    """The files of the repository with their bytes."""
    api = HfApi()
    names = [name for name in tree(repo, revision) if name != ".gitattributes"]
    paths = {name: api.hf_hub_download(repo, name, repo_type="dataset", revision=revision) for name in names}
    return {name: Path(path).read_bytes() for name, path in paths.items()}


def commits(repo=REPO):
    return [row.title for row in HfApi().list_repo_commits(repo, repo_type="dataset")]


def told(store):
    """What a store says, without what may differ between two of the same runs."""
    return {
        path.relative_to(store.root).as_posix(): (row["run_id"], row["metrics"], row["status"], row["selection"])
        for path, row in store.all(replicates=True)
    }


def test_a_store_goes_up_in_one_commit_as_a_private_data_set(hub_server, store):
    sent = push_results(store, REPO, salt=SALT)
    info = HfApi().repo_info(REPO, repo_type="dataset")
    assert info.private and sent.address.endswith(info.sha) and not sent.unchanged
    assert len(sent.added) == RUNS and sent.known == 0 and sent.notes == ()
    assert len(hub_server.requests("POST", "*/commit/*")) == 1 and len(commits()) == 2
    files = contents()
    runs = {name for name in files if name.startswith("runs/")}
    assert runs == set(sent.added) == {run_file(row["identity"]) for _, row in store.all()}
    with_predictions = {predictions_file(name) for name in runs if json.loads(files[name])["predictions"]["sha256"]}
    assert len(with_predictions) == 6
    assert set(files) == runs | with_predictions | {"results.parquet", "eval.yaml", "README.md"}


def test_the_pushed_result_names_the_pushed_predictions_and_keeps_its_run_id(hub_server, store):
    push_results(store, REPO, salt=SALT)
    files = contents()
    for path, result in store.all():
        there = json.loads(files[run_file(result["identity"])])
        assert there["run_id"] == result["run_id"] and there["metrics"] == result["metrics"]
        if (wanted := there["predictions"]["sha256"]) is not None:
            content = files[predictions_file(run_file(result["identity"]))]
            assert hashlib.sha256(content).hexdigest() == wanted != result["predictions"]["sha256"]
            assert path.read_text().count(result["predictions"]["sha256"]) == 1  # the store itself is as before


def test_nobody_can_link_a_pushed_case_to_the_store_or_to_the_data(hub_server, store):
    push_results(store, REPO, salt=SALT)
    files = contents()
    secret = {SALT.encode()}
    for task in ("phantom_chest", "phantom_oct", "chestmnist"):
        secret |= {name.encode() for names in samples.ids(task) for name in names}
    for path, _ in store.all():
        if (beside := predictions_path(path)).is_file():
            table = pq.read_table(beside)
            secret |= {word.encode() for name in ("sample", "patient") for word in table[name].to_pylist()}
    for name, content in files.items():
        words = [content]
        if name.endswith(".parquet"):
            words += [str(row).encode() for row in pq.read_table(io.BytesIO(content)).to_pylist()]
        assert not [word for word in secret for text in words if word in text], name


def test_the_order_of_a_test_split_is_gone_too(tmp_path):
    _, table = samples.run("phantom_oct")
    one, other = salted(table, SALT), salted(table, f"{SALT}, another")
    assert one["sample"].to_pylist() == sorted(one["sample"].to_pylist())
    assert one["label"] != table["label"] and one["label"] != other["label"]
    assert not set(one["sample"].to_pylist()) & set(other["sample"].to_pylist())
    rows = {tuple(row.values())[2:] for row in table.to_pylist()}
    assert {tuple(row.values())[2:] for row in one.to_pylist()} == rows
    assert salted(one, f"{SALT}, another") is one  # what was pulled keeps its ids
    again = salted(samples.run("phantom_oct", draw=5)[1], SALT)
    assert again["sample"] == one["sample"] and again["patient"] == one["patient"]  # so that runs can be paired


def test_the_same_again_changes_nothing(hub_server, store, tmp_path):
    first = push_results(store, REPO, salt=SALT)
    before, puts = tree(), len(hub_server.requests("PUT"))
    again = push_results(str(store.root), REPO, salt=SALT)
    assert again.unchanged and again.added == () and again.known == RUNS and again.address == first.address
    shutil.copytree(store.root, tmp_path / "copy")
    assert push_results(tmp_path / "copy", REPO, salt=SALT).unchanged
    assert tree() == before and len(commits()) == 2 and len(hub_server.requests("PUT")) == puts


def test_only_new_runs_are_added_and_nothing_is_removed(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    before = tree()
    shutil.rmtree(store.root)
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run("phantom_chest", seed=2))
    sent = push_results(other, REPO, salt=SALT)
    after = tree()
    assert len(sent.added) == 1 and set(after) - set(before) == {sent.added[0], predictions_file(sent.added[0])}
    assert {name for name in before if after[name] != before[name]} == {"results.parquet", "README.md"}
    assert len(read_flat_of(contents()["results.parquet"])) == RUNS + 1  # also the runs that this store does not have


def read_flat_of(content):
    return results_of(pq.read_table(io.BytesIO(content)))


def test_other_numbers_of_a_run_stand_beside_it_and_count_for_nothing(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    before = tree()
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run("phantom_chest", draw=99))
    for _ in range(2):
        sent = push_results(other, REPO, salt=SALT)
        added = [name for name in tree() if name not in before]
        assert [name.endswith((".r2.json", ".r2.parquet")) for name in added] == [True, True]
    assert sent.unchanged and sent.known == 1
    assert all(tree()[name] == value for name, value in before.items() if name.startswith(("runs", "predictions")))
    table = pq.read_table(io.BytesIO(contents()["results.parquet"])).to_pandas()
    assert sorted(table[table.task == "phantom_chest"].replicate.unique()) == [1, 2]
    assert f"from {RUNS} results" in contents()["README.md"].decode()


def test_another_salt_leaves_what_is_there(hub_server, store):
    push_results(store, REPO, salt=SALT)
    before = tree()
    sent = push_results(store, REPO, salt=f"{SALT}, another")
    assert sent.unchanged and sent.known == RUNS and tree() == before
    assert len(sent.notes) == 6 and all("another salt" in note for note in sent.notes)


def test_load_dataset_gives_the_flat_table(hub_server, hub_datasets, store):
    push_results(store, REPO, salt=SALT)
    found = hub_datasets.load_dataset(REPO)
    assert list(found) == ["results"]
    rows = found["results"]
    assert tuple(rows.column_names) == ORDER
    frame = rows.to_pandas()
    assert frame.run_id.nunique() == RUNS and set(frame[frame.primary].metric) == {"auroc"}
    assert set(frame[frame.status == "diverged"].reason) == {"the loss became NaN"}
    assert set(frame[frame.reported].protocol) == {"paper"} and frame.reported.tolist() == sorted(frame.reported)
    streamed = hub_datasets.load_dataset(REPO, split="results", streaming=True)
    assert next(iter(streamed))["task"] == frame.task[0]


def test_the_flat_table_rebuilds_the_table(store, tmp_path):
    found = [(run_file(row["identity"]), row) for _, row in store.all()]
    flat = flat_table(found)
    assert flat.equals(flat_table(reversed(found)))
    assert dict(results_of(flat)) == dict(found)
    again = medzoo.table([row for _, row in results_of(flat)]).to_frame().drop(columns="path")
    assert again.equals(medzoo.table(store.root).to_frame().drop(columns="path"))
    rows = sum(max(1, len(row["metrics"])) for _, row in found)
    assert export(found, tmp_path / "a.parquet") == export(found, tmp_path / "a.csv") == rows == flat.num_rows
    assert dict(read_flat(tmp_path / "a.parquet")) == dict(found)
    assert (tmp_path / "a.csv").read_text().splitlines()[0].startswith('"task","task_version"')
    with raises(UsageError, "file-extension-unsupported"):
        export(found, tmp_path / "a.xlsx")


def test_the_card_and_eval_yaml(hub_server, store):
    push_results(store, REPO, salt=SALT, license="cc-by-4.0")
    files = contents()
    card = DatasetCard.load(REPO)
    assert card.data.license == "cc-by-4.0"
    assert card.data.configs == [
        {"config_name": "default", "data_files": [{"split": "results", "path": "results.parquet"}]}
    ]
    text = files["README.md"].decode()
    assert "resnet18-random" in text and "(reported)" in text and f"from {RUNS} results" in text
    linked = {part.partition(")")[0] for part in text.split("](")[1:]}
    assert linked == {name for name in files if name.startswith("runs/")}  # no odd sign in these names is quoted
    head, rows = files["eval.yaml"].decode(), yaml.safe_load(files["eval.yaml"])
    assert "allow-list" in head
    assert set(rows) == {"name", "description", "evaluation_framework", "tasks"}
    assert rows["tasks"][0] == {"id": "chestmnist", "config": "default", "split": "results"}
    with raises(Exception, "license-unknown"):
        push_results(store, REPO, salt=SALT, license="free")


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")
def test_what_people_write_into_the_card_stays(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    text = contents()["README.md"].decode().replace("## Use", "Our own words, of /data/ward.\n\n## Use")
    HfApi().upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
    store.put(*samples.run(seed=11))
    push_results(store, REPO, salt=SALT)
    text = contents()["README.md"].decode()
    assert "Our own words" in text and f"from {RUNS + 1} results" in text
    HfApi().upload_file(path_or_fileobj=b"# Ours\n", path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
    store.put(*samples.run(seed=12))
    push_results(store, REPO, salt=SALT)
    assert contents()["README.md"] == b"# Ours\n"


def test_pull_gives_the_store_back(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    target = ResultStore(tmp_path / "pulled")
    taken = pull_results(REPO, target.root)
    assert len(taken.added) == RUNS and not taken.left_out and taken.known == taken.replicates == 0
    assert told(target) == told(store)
    for path, result in target.all():
        if result["predictions"]["sha256"]:
            table = read_predictions(predictions_path(path))
            assert is_salted(table) and table.num_rows == result["predictions"]["rows"] == samples.CASES
    assert str(medzoo.table(target.root).to_text()) == str(medzoo.table(store.root).to_text())
    again = pull_results(REPO, target.root)
    assert (len(again.added), again.known) == (0, RUNS)
    assert pull_results(REPO, store.root).known == RUNS  # one's own runs come back under another salt
    assert len(store.all(replicates=True)) == RUNS
    before = tree()
    assert push_results(target, REPO, salt="somebody else's secret").unchanged  # what is salted goes up as it is
    assert tree() == before


def test_pull_keeps_other_numbers_as_a_replicate_and_a_failed_run_makes_way(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    target = ResultStore(tmp_path / "mine")
    mine = target.put(*samples.run("phantom_chest", draw=99))
    target.put(*samples.run("phantom_oct", status="failed", reason="disk full"))
    taken = pull_results(REPO, target.root)
    assert taken.replicates == 1 and len(taken.added) == RUNS - 1 and len(target.all()) == RUNS
    assert mine.with_name(f"{mine.stem}.r2.json").is_file()
    assert all(row["status"] != "failed" for _, row in target.all())


def test_pull_fetches_predictions_of_new_runs_only(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT)
    target = ResultStore(tmp_path / "pulled")
    for path, result in store.all():
        if result["identity"]["seed"] != 1 and result["predictions"]["sha256"]:
            target.put(result, pq.read_table(predictions_path(path)))
    taken = pull_results(REPO, target.root)
    assert (len(taken.added), taken.known) == (5, 3)
    assert len({row.path for row in hub_server.requests("GET", "*/resolve/*.parquet")}) == 3


def test_pull_takes_nothing_that_is_too_large(hub_server, store, tmp_path, monkeypatch):
    sent = push_results(store, REPO, salt=SALT)
    largest = max(
        (row["lfs"]["size"], row["path"]) for row in listing() if row["lfs"] and "predictions/" in row["path"]
    )
    monkeypatch.setattr(push_pull, "PARQUET_LIMIT", largest[0] - 1)
    big = sent.added[0].rpartition("/")[0] + "/0123456789abcdef.json"
    api = HfApi()
    api.upload_file(path_or_fileobj=b" " * 2**20 + b"{}", path_in_repo=big, repo_id=REPO, repo_type="dataset")
    taken = pull_results(REPO, tmp_path / "pulled")
    words = " ".join(taken.left_out)
    assert (
        f"{big}: The file has 1,048,578 bytes" in words
        and f"{largest[1]}: The file has" in words
        and "missing" in words
    )
    assert not hub_server.requests("GET", f"*/{big.rpartition('/')[2]}")


def listing():
    rows = HfApi().list_repo_tree(REPO, repo_type="dataset", recursive=True)
    return [{"path": row.path, "lfs": row.lfs and {"size": row.lfs.size}} for row in rows if hasattr(row, "blob_id")]


def test_pull_takes_what_is_whole_and_tells_of_the_rest(hub_server, store, tmp_path):
    sent = push_results(store, REPO, salt=SALT)
    files = contents()
    with_predictions = [name for name in sent.added if predictions_file(name) in files]
    api = HfApi()

    def put(name, content):
        api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=REPO, repo_type="dataset")

    put(with_predictions[0], b"{}")
    put(predictions_file(with_predictions[1]), files[predictions_file(with_predictions[2])])
    put(with_predictions[3].replace("medzoo", "other"), files[with_predictions[3]])
    taken = pull_results(REPO, tmp_path / "pulled")
    assert len(taken.added) == RUNS - 2 and len(taken.left_out) == 3
    words = " ".join(taken.left_out)
    assert "is missing" in words and "do not match the sha256" in words and "Wrong path" in words
    with pytest.warns(UserWarning, match="is not counted"):
        push_results(store, REPO, salt=SALT)


@pytest.mark.parametrize("where", ["*/runs/*", "*.parquet"])
def test_a_flipped_bit_is_noticed_fetched_again_and_never_kept(hub_server, store, tmp_path, where):
    push_results(store, REPO, salt=SALT)
    fault = hub_server.fault("flip", path=where, times=1)
    assert len(pull_results(REPO, tmp_path / "a").added) == RUNS and fault.used == 1
    shutil.rmtree(os.environ.get("HF_HUB_CACHE", "none"), ignore_errors=True)
    from huggingface_hub import constants

    shutil.rmtree(constants.HF_HUB_CACHE)
    hub_server.fault("flip", path=where, times=None)
    with raises(IntegrityError, "download-hash-wrong"):
        pull_results(REPO, tmp_path / "b")
    hub_server.heal()
    assert len(pull_results(REPO, tmp_path / "b").added) == RUNS


def test_pull_of_what_is_not_there(hub_server, store, tmp_path):
    with raises(ResultError, "repository-not-found"):
        pull_results("lab/nothing", tmp_path / "a")
    push_results(store, REPO, salt=SALT)
    with raises(ResultError, "revision-not-found"):
        pull_results(REPO, tmp_path / "a", revision="v9")
    with raises(ResultError, "repository-not-found"):
        pull_results(REPO, tmp_path / "a", token=hub_server.stranger)
    with raises(UsageError, "invalid-revision"):
        pull_results(REPO, tmp_path / "a", revision="../../x")
    HfApi().create_repo("lab/empty", repo_type="dataset")
    with raises(ResultError, "repo-without-runs"):
        pull_results("lab/empty", tmp_path / "a")
    assert not (tmp_path / "a").exists()
    HfApi().create_tag(REPO, tag="v1", repo_type="dataset")
    assert len(pull_results(REPO, tmp_path / "a", revision="v1").added) == RUNS


@pytest.mark.parametrize(
    ("path", "method", "kind", "at"),
    [
        ("*/repos/create", "POST", "reset", 0), ("*/commit/*", "POST", "reset", 0), ("*/commit/*", "POST", "status", None),
        ("*/preupload/*", None, "status", None), ("*", "PUT", "reset", 0), ("*/objects/batch", "POST", "status", None),
    ],
)  # fmt: skip
def test_a_broken_push_says_so_and_the_next_goes_on(hub_server, store, path, method, kind, at, client_waits):
    options = {"at": 0} if kind == "reset" else {"code": 500}
    hub_server.fault(kind, path=path, method=method, times=None, **options)
    with raises(PublishError, "push-failed", match="Push again"):
        push_results(store, REPO, salt=SALT)
    hub_server.heal()
    push_results(store, REPO, salt=SALT)
    assert len(commits()) == 2  # also where only the answer was lost
    assert push_results(store, REPO, salt=SALT).unchanged
    names = set(tree())
    assert len([name for name in names if name.startswith("runs/")]) == RUNS


def test_somebody_commits_meanwhile(hub_server, store, monkeypatch):
    push_results(store, REPO, salt=SALT)
    store.put(*samples.run(seed=21))
    seen = upload._changed

    def look_and_be_overtaken(*given):
        found = seen(*given)
        HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="notes.txt", repo_id=REPO, repo_type="dataset")
        return found

    monkeypatch.setattr(upload, "_changed", look_and_be_overtaken)
    with raises(PublishError, "committed-meanwhile"):
        push_results(store, REPO, salt=SALT)
    monkeypatch.setattr(upload, "_changed", seen)
    assert len(push_results(store, REPO, salt=SALT).added) == 1
    assert "notes.txt" in tree()  # what others put there stays


def test_a_pull_request_holds_the_runs_only_and_is_opened_once(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT, private=False)
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run("phantom_chest", seed=5))
    one = push_results(other, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    assert one.address.endswith("/discussions/1") and len(one.added) == 1
    new = set(tree(revision="refs/pr/1")) - set(tree())
    assert new == {one.added[0], predictions_file(one.added[0])}
    same = {name for name in tree() if tree()[name] == tree(revision="refs/pr/1")[name]}
    assert same == set(tree())
    again = push_results(other, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    assert again.unchanged and again.address == one.address
    HfApi().merge_pull_request(REPO, 1, repo_type="dataset")
    done = push_results(other, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    assert done.unchanged and done.known == 1
    assert len(list(HfApi().get_repo_discussions(REPO, repo_type="dataset"))) == 1
    renewed = push_results(ResultStore(empty(tmp_path)), REPO, salt=SALT)  # those who keep it renew the table
    assert renewed.added == () and not renewed.unchanged and commits()[0] == "Table of the runs"
    assert len(read_flat_of(contents()["results.parquet"])) == RUNS + 1


def test_a_pull_request_that_will_be_refused_says_so_at_once(hub_server, store, tmp_path):
    push_results(store, REPO, salt=SALT, private=False)
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run(seed=5, checkpoint="mine"))
    sent = push_results(other, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    assert len(sent.added) == 1 and len(sent.notes) == 1
    assert (
        "results check` will refuse it: mine is neither a registered name" in sent.notes[0]
        and "medzoo push" in sent.notes[0]
    )


def empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_a_lost_answer_to_a_pull_request_opens_no_second_one(hub_server, store, client_waits):
    HfApi().create_repo(REPO, repo_type="dataset")
    hub_server.fault("reset", path="*/commit/*", method="POST", at=0)
    with raises(PublishError, "push-failed", match="Push again"):
        push_results(store, REPO, salt=SALT, create_pr=True)
    assert push_results(store, REPO, salt=SALT, create_pr=True).address.endswith("/discussions/1")
    assert len(list(HfApi().get_repo_discussions(REPO, repo_type="dataset"))) == 1


def test_an_empty_store_makes_no_repository(hub_server, tmp_path):
    with raises(ResultError, "repository-not-found"):
        push_results(empty(tmp_path), REPO, salt=SALT)
    HfApi().create_repo(REPO, repo_type="dataset")
    with raises(ResultError, "nothing-to-push"):
        push_results(tmp_path / "empty", REPO, salt=SALT)
    with raises(UsageError, "not-a-folder"):
        push_results(tmp_path / "nowhere", REPO, salt=SALT)


@pytest.mark.parametrize("who", ["reader", "stranger"])
def test_a_token_without_the_right(hub_server, store, who):
    push_results(store, REPO, salt=SALT, private=False)
    store.put(*samples.run(seed=31))
    with raises(PublishError, "push-forbidden"):
        push_results(store, REPO, salt=SALT, token=getattr(hub_server, who))


def test_a_dry_run_contacts_nobody_and_writes_nothing(hub_server, store, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    sent = push_results(store, REPO, salt=SALT, dry_run=True)
    assert len(sent.added) == RUNS and sent.address == "https://huggingface.co/datasets/lab/results"
    assert hub_server.log == [] and sorted(tmp_path.rglob("*")) == before


LEAKS = {
    "a Hugging Face token": "hf_" + "aB3dE5gH" * 4, "a path on this machine": "see /mnt/ward3/scans/x.png",
    "an identifier of a patient": "PatientID: 4711",
}  # fmt: skip


@pytest.mark.parametrize("what", LEAKS)
@pytest.mark.parametrize("where", ["reason", "by", "label policy", "class"])
def test_what_must_not_leave_stays(hub_server, store, what, where):
    result, table = samples.run(seed=41)
    if where == "class":
        table = table.rename_columns([name.replace("opacity", LEAKS[what]) for name in table.column_names])
        content = parquet_bytes(table)
        result["predictions"]["sha256"] = hashlib.sha256(content).hexdigest()
        store.put(result, table)
    else:
        path = store.put(result, table)
        text = json.loads(path.read_text())
        if where == "label policy":
            text["identity"]["dataset"]["label_policy"] = LEAKS[what]
            from medzoo.bench.results.store import run_id

            text["run_id"] = run_id(text["identity"])
        elif where == "by":
            text["provenance"]["by"] = LEAKS[what]
        else:
            text["train"]["reason"] = LEAKS[what]
        path.write_text(json.dumps(text))
    for dry in (True, False):
        with raises(PublishError, "private-information", match=what) as caught:
            push_results(store, REPO, salt=SALT, dry_run=dry)
    assert hub_server.log == [] and LEAKS["a Hugging Face token"] not in str(caught.value)


def test_a_result_that_breaks_the_schema_is_refused_and_left_where_it_is(hub_server, store):
    path = next(path for path, row in store.all() if row["identity"]["seed"] == 1)
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 9'))
    with raises(ResultError, "run-id-mismatch"):
        push_results(store, REPO, salt=SALT)
    assert path.is_file() and hub_server.log == []


@pytest.mark.parametrize("damage", ["missing", "changed", "columns"])
def test_results_leave_with_their_own_predictions_only(hub_server, store, damage):
    path = next(path for path, row in store.all() if row["predictions"]["sha256"])
    beside = predictions_path(path)
    if damage == "missing":
        beside.unlink()
    elif damage == "changed":
        beside.write_bytes(beside.read_bytes() + b"0")
    else:
        table = pq.read_table(beside)
        table = table.append_column("name", table["sample"])
        beside.write_bytes(parquet_bytes(table))
        text = json.loads(path.read_text())
        text["predictions"]["sha256"] = hashlib.sha256(beside.read_bytes()).hexdigest()
        path.write_text(json.dumps(text))
    with raises(ResultError, "predictions-columns-wrong" if damage == "columns" else "predictions-hash-mismatch"):
        push_results(store, REPO, salt=SALT)
    assert hub_server.log == []


def test_a_failed_run_stays_here(hub_server, store):
    store.put(*samples.run(seed=51, status="failed", reason="the disk was full"))
    sent = push_results(store, REPO, salt=SALT)
    assert len(sent.added) == RUNS and len(sent.notes) == 1 and "the disk was full" in sent.notes[0]


def test_lost_predictions_are_brought_back(hub_server, store):
    push_results(store, REPO, salt=SALT)
    before = tree()
    gone = next(name for name in before if name.startswith("predictions/"))
    HfApi().delete_file(gone, REPO, repo_type="dataset")
    assert len(push_results(store, REPO, salt=SALT).added) == 1
    assert tree() == before


def test_many_files_do_not_stay_open(hub_server, store, monkeypatch):
    monkeypatch.setattr(upload, "MAX_OPEN_FILES", 1)
    push_results(store, REPO, salt=SALT)
    assert len(hub_server.requests("PUT")) == 7


def test_the_salt_of_a_store_is_drawn_once_for_its_owner_alone(store):
    path = salt_path(store.root)
    first = store_salt(store.root)
    assert path.parent == store.root.parent and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store_salt(store.root) == first == read_salt(path) and len(first) == 64
    assert [row.name for row in path.parent.iterdir() if "salt" in row.name] == [path.name]
    path.unlink()
    with ThreadPoolExecutor(8) as pool:  # of many at once one draws, and all have the same
        assert len(set(pool.map(store_salt, [store.root] * 16))) == 1
    path.write_text("medzoo\n")
    with raises(UsageError, "salt-too-short"):
        store_salt(store.root)
    with raises(UsageError, "salt-file-unreadable"):
        read_salt(path.with_name("absent"))
    with raises(UsageError, "not-a-folder"):
        store_salt(store.root / "nowhere")
    assert not salt_path(store.root / "nowhere").exists()
    with raises(UsageError, "salt-too-short"):
        push_results(store, REPO, salt="medzoo", dry_run=True)


def test_import_from_a_store_a_repository_and_a_table(store, tmp_path):
    found = [(run_file(row["identity"]), row) for _, row in store.all()]
    from medzoo.bench.sharing.prepare_upload import prepare_upload

    prepare_upload(store.root, tmp_path / "folder", SALT)
    export(found, tmp_path / "flat.parquet")
    for number, source in enumerate((store.root, tmp_path / "folder", tmp_path / "flat.parquet")):
        target = ResultStore(tmp_path / f"to{number}")
        taken = import_results(source, target)
        assert len(taken.added) == RUNS and told(target) == told(store)
        assert import_results(source, target).known == RUNS
        assert bool(list(target.root.rglob("*.parquet"))) == source.is_dir()
    path = next(path for path, row in store.all() if row["predictions"]["sha256"])
    predictions_path(path).unlink()
    taken = import_results(store.root, tmp_path / "to9")
    assert len(taken.added) == RUNS - 1 and "predictions are missing" in taken.left_out[0]
    for wrong in (tmp_path / "nowhere", empty(tmp_path)):
        with raises(UsageError, "no-results-in-source"):
            import_results(wrong, tmp_path / "to9")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with raises(ResultError, "not-parquet"):
        import_results(tmp_path / "x.parquet", tmp_path / "to9")


def test_one_store_gives_one_parquet_byte_for_byte(store, tmp_path):
    for path, row in store.all():
        if row["predictions"]["sha256"]:
            content = parquet_bytes(salted(pq.read_table(predictions_path(path)), SALT))
            (tmp_path / "a.parquet").write_bytes(content)
            assert parquet_bytes(read_predictions(tmp_path / "a.parquet")) == content
            assert parquet_bytes(salted(read_predictions(predictions_path(path)), SALT)) == content
    found = [(run_file(row["identity"]), row) for _, row in store.all()]
    assert parquet_bytes(flat_table(found)) == parquet_bytes(flat_table(found[::-1]))


def test_a_repository_that_cannot_be_named(store):
    for repo in ("results", "../x", "lab/re sults", "a/b/c", ""):
        with raises(UsageError, "unknown-results-repository"):
            push_results(store, repo, salt=SALT, dry_run=True)
    assert push_pull.push_results is push_results
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.all()


def test_labels_that_may_not_be_published_stay_here(hub_server, store, tmp_path, monkeypatch):
    stay = lambda name: replace(task_info(name), labels_stay=True)  # noqa: E731
    monkeypatch.setattr("medzoo.bench.results.known_task.task_info", stay)
    push_results(store, REPO, salt=SALT)
    target = ResultStore(tmp_path / "pulled")
    assert len(pull_results(REPO, target.root).added) == RUNS and told(target) == told(store)
    kept = [path for path, result in target.all() if result["predictions"]["sha256"]]
    for path in kept:
        names = read_predictions(predictions_path(path)).column_names
        assert names[:2] == ["sample", "patient"] and all(name.startswith("probability:") for name in names[2:])
    findings, _ = review_store(store.root)
    assert kept and {row.check for row in findings if "have no labels" in row.message} == {"labels"}
    assert push_results(target, REPO, salt="somebody else's secret").unchanged


def test_a_machine_that_is_offline_is_not_told_to_try_again(hub_server, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with raises(ResultError, "network-off"):
        pull_results(REPO, tmp_path / "store")
