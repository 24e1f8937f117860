"""medzoo.bench.review.review: every finding by one tampered contribution, and a stranger's pull request judged and merged."""

import hashlib
import io
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sharing_samples as samples
from expect import raises
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from review_samples import Folder
from sharing_samples import SALT

from medzoo import store as files_store
from medzoo.bench.results import untrusted
from medzoo.bench.results.record import parquet_bytes
from medzoo.bench.results.store import ResultStore, run_id
from medzoo.bench.results.untrusted import read_predictions
from medzoo.bench.review import contribution
from medzoo.bench.review.review import ReviewFinding, review, review_pull_request, review_store
from medzoo.bench.sharing.layout import predictions_file, run_file
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.bench.sharing.pseudonymize import MARK
from medzoo.bench.sharing.push_pull import push_results
from medzoo.errors import ResultError, UsageError

REPO = "lab/results"


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    if "apart" not in request.fixturenames:
        samples.read_here(monkeypatch)


@pytest.fixture
def apart():
    """Foreign Parquet is read in a process of its own first, as it is for users."""


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "contribution")


def test_an_honest_contribution_is_taken(folder, tmp_path):
    assert review(folder.root) == [] and len(list(folder.root.glob("runs/*/*/*/*.json"))) == 5
    assert review(folder.root / folder.name()) == []
    samples.fill(tmp_path / "results", seeds=(0,))
    assert review_store(tmp_path / "results") == ([], [])
    ResultStore(tmp_path / "results").put(*samples.run(seed=3, status="failed", reason="no disk"))
    found, stays = review_store(tmp_path / "results")
    assert found == [] and "no disk" in stays[0]


# what is done to the result of phantom_chest, seed 0 → what review finds
def _set(*path, to):
    def change(result):
        for key in path[:-1]:
            result = result[key]
        if to is None and path[-1] in result and path[0] == "selection":
            del result[path[-1]]
        else:
            result[path[-1]] = to

    return change


IDENTITY = {
    "an unknown task": (_set("identity", "task", "id", to="phantom_cheste"), "task"),
    "choices that are none": (_set("identity", "task", "id", to="phantom_chest,n"), "task"),
    "data of one's own": (_set("identity", "task", "id", to="folder:knee"), "task"),
    "another version": (_set("identity", "task", "version", to="2"), "task"),
    "an unknown checkpoint": (_set("identity", "checkpoint", "id", to="resnet18-mine"), "checkpoint"),
    "a repository without a commit": (_set("identity", "checkpoint", "id", to="hf-hub:lab/net"), "checkpoint"),
    "a branch instead of a commit": (_set("identity", "checkpoint", "id", to="hf-hub:lab/net@main"), "checkpoint"),
    "random weights with a hash": (_set("identity", "checkpoint", "weights_sha256", to="0" * 64), "checkpoint"),
    "stored weights without a hash": (_set("identity", "checkpoint", "id", to="resnet18-imagenet"), "checkpoint"),
    "another metric": (_set("metric", to="accuracy"), "task"),
    "a test split opened twice": (_set("selection", "test_evaluations", to=2), "selection"),
    "a test split opened who knows how often": (_set("selection", "test_evaluations", to=None), "selection"),
    "a choice on the test split": (_set("selection", "split", to="test"), "selection"),
    "a token": (_set("provenance", "by", to="hf_" + "aB3dE5gH" * 4), "scan"),
    "a place": (_set("train", "reason", to="as in /home/ann/scans/x.png"), "scan"),
    "a patient": (_set("train", "counts", to={"PatientID=4711": 3}), "scan"),
    "numbers of a failed run": (_set("status", to="failed"), "status"),
    "numbers of a diverged run": (_set("status", to="diverged"), "status"),
    "reported without a source": (_set("provenance", "origin", to="reported"), "reported"),
    "no predictions": (_set("predictions", to={"sha256": None, "rows": 0}), "predictions"),
    "other predictions": (_set("predictions", "sha256", to="0" * 64), "predictions"),
    "another count of rows": (_set("predictions", "rows", to=99), "counts"),
    "a better number": (_set("metrics", 0, "value", to=0.987654), "metrics"),
    "a little better number": (lambda result: result["metrics"][0].update(value=result["metrics"][0]["value"] + 3e-6), "metrics"),
    "undefined": (lambda result: result["metrics"][1].update(value=None, undefined="no positive case"), "metrics"),
    "a metric left out": (lambda result: result["metrics"].pop(), "metrics"),
    "a metric of one's own": (lambda result: result["metrics"].append({**result["metrics"][0], "name": "f2"}), "metrics"),
    "a label of one's own": (lambda result: result["metrics"].append({**result["metrics"][0], "label": "none"}), "metrics"),
    "more cases": (_set("metrics", 0, "n", to=240), "counts"),
    "more positives": (_set("metrics", 0, "n_pos", to=20), "counts"),
    "more patients": (_set("metrics", 0, "n_patients", to=24), "counts"),
}  # fmt: skip


@pytest.mark.parametrize("what", IDENTITY)
def test_a_result_that_is_not_what_it_says(folder, what):
    change, check = IDENTITY[what]
    name = folder.edit(change)
    assert folder.judge() == {(check, name)}, review(folder.root)


def test_a_difference_below_the_tolerance_is_none(folder):
    folder.edit(lambda result: result["metrics"][0].update(value=result["metrics"][0]["value"] + 5e-7))
    assert folder.checks() == set()


NOT_JSON = {
    "no JSON": b"{", "no UTF-8": b"\xff\xfe", "a bomb of brackets": b"[" * 200_000, "a list": b"[]", "nothing": b"",
    "a key twice": b'{"schema": "medzoo.result/1", "schema": "medzoo.result/1"}',
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_JSON)
def test_a_file_that_is_no_result(folder, what):
    (folder.root / folder.name()).write_bytes(NOT_JSON[what])
    assert ("schema", folder.name()) in folder.judge()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"seed": 0', '"seed": NaN', "NaN is not a JSON number"),
        ('"n": 24', '"n": Infinity', "Infinity is not a JSON number"),
        ('"label_fraction": 1.0', '"label_fraction": 1e999', "label_fraction is inf"),
        ('"seed": 0', f'"seed": {10**30}', "does not fit into 64 bits"),
        ('"seed": 0', '"seed": ' + "9" * 5000, "does not fit into 64 bits"),
        ('"seed": 0', '"seed": 1', "run_id is "),
        ('"seed": 0', '"seed": 0, "host": "ward3"', "identity.host"),
        ('"python": "3"', '"python": "' + "a." * 3000 + '"', "a text has 6,000 characters"),
        ('"steps": 12', '"counts": {"' + "a." * 3000 + '": 1}', "a text has 6,000 characters"),
        ("medzoo.result/1", "medzoo.result/9", "pip install --upgrade medzoo"),
    ],
)
def test_a_result_that_breaks_the_schema(folder, old, new, words):
    path = folder.root / folder.name()
    path.write_text(path.read_text().replace(old, new, 1))
    found = [row for row in review(folder.root) if row.check == "schema"]
    assert len(found) == 1 and words in found[0].message


def test_a_file_lies_where_its_identity_says(folder):
    name = folder.name()
    moved = name.replace("resnet18-random", "resnet50-random")
    for one, other in ((name, moved), (predictions_file(name), predictions_file(moved))):
        (folder.root / other).parent.mkdir(parents=True)
        shutil.move(folder.root / one, folder.root / other)
    assert folder.judge() == {("place", moved)}
    shutil.move(folder.root / moved, folder.root / name.replace(".json", ".r2.json"))
    shutil.move(
        folder.root / predictions_file(moved), folder.root / predictions_file(name.replace(".json", ".r2.json"))
    )
    assert folder.judge() == {("place", name.replace(".json", ".r2.json"))}  # a replicate of nothing


def test_a_replicate_beside_its_run(folder, tmp_path):
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run(draw=9))
    (one,) = prepare_upload(other.root, tmp_path / "more", SALT)[0]
    name = one.file.replace(".json", ".r2.json")
    shutil.move(tmp_path / "more" / one.file, folder.root / name)
    shutil.move(tmp_path / "more" / predictions_file(one.file), folder.root / predictions_file(name))
    assert folder.checks() == set()


def _columns(change):
    def done(table):
        return change({name: table[name].to_pylist() for name in table.column_names})

    def table(old):
        return pa.table(done(old)).replace_schema_metadata(dict([MARK]))

    return table


def _shifted(columns):
    return columns | {"probability:opacity": [x + 0.6 for x in columns["probability:opacity"]]}


PREDICTIONS = {
    "the salt of all stores": (lambda table: table.replace_schema_metadata(None), {"salt"}),
    "notes in the file": (lambda table: table.replace_schema_metadata({**dict([MARK]), b"ward": b"3"}), {"columns"}),
    "another mark": (lambda table: table.replace_schema_metadata({MARK[0]: b"other"}), {"columns"}),
    "notes at a column": (
        lambda table: table.cast(pa.schema([field.with_metadata({"a": "b"}) for field in table.schema], dict([MARK]))), {"columns"},
    ),
    "a name beside the id": (lambda table: table.append_column("name", table["sample"]), {"columns"}),
    "ids that are names": (_columns(lambda rows: rows | {"sample": [f"ann{i}.png" for i in range(24)]}), {"columns"}),
    "a patient left out": (_columns(lambda rows: rows | {"patient": [None, *rows["patient"][1:]]}), {"columns"}),
    "one long id": (_columns(lambda rows: rows | {"patient": ["x" * 100_000, *rows["patient"][1:]]}), {"columns"}),
    "no probabilities": (lambda table: table.drop_columns(["probability:none", "probability:opacity"]), {"columns"}),
    "other classes": (
        _columns(lambda rows: {name.replace("opacity", "tumour"): row for name, row in rows.items()}), {"columns"},
    ),
    "columns in another order": (lambda table: table.select(table.column_names[::-1]), {"columns"}),
    "classes in another order": (
        lambda table: table.select(["sample", "patient", "label", "mask", "probability:opacity", "probability:none"]),
        {"columns"},
    ),
    "words for labels": (_columns(lambda rows: rows | {"label": [str(x) for x in rows["label"]]}), {"columns"}),
    "a label left out": (_columns(lambda rows: rows | {"label": [None, *rows["label"][1:]]}), {"columns"}),
    "a case masked": (_columns(lambda rows: rows | {"mask": [False, *rows["mask"][1:]]}), {"columns"}),
    "a label that is no class": (_columns(lambda rows: rows | {"label": [7, *rows["label"][1:]]}), {"metrics"}),
    "NaN": (
        _columns(lambda rows: rows | {"probability:opacity": [float("nan"), *rows["probability:opacity"][1:]]}), {"range"},
    ),
    "logits": (_columns(_shifted), {"range"}),
    "sums that are not 1": (_columns(lambda rows: rows | {"probability:none": [0.1] * 24}), {"range"}),
    "a case twice": (_columns(lambda rows: rows | {"sample": [rows["sample"][1], *rows["sample"][1:]]}), {"counts"}),
    "patients as they please": (_columns(lambda rows: rows | {"patient": rows["sample"]}), {"counts"}),
    "no cases": (lambda table: table.slice(0, 0), {"range"}),
    "fewer cases": (lambda table: table.slice(0, 12), {"counts", "metrics"}),
    "labels turned": (_columns(lambda rows: rows | {"label": [1 - x for x in rows["label"]]}), {"metrics"}),
    "no Parquet": (lambda _: b"PAR1 but not quite PAR1", {"columns"}),
    "an empty file": (lambda _: b"", {"columns"}),
}  # fmt: skip


@pytest.mark.parametrize("what", PREDICTIONS)
def test_predictions_that_are_not_what_they_should_be(folder, what):
    change, checks = PREDICTIONS[what]
    name = folder.predictions(change)
    found = review(folder.root)
    assert {row.check for row in found} == checks and {row.file for row in found} == {name}, found


def test_masks_and_labels_of_several_labels_agree(folder):
    def change(rows):
        return rows | {"mask:mass": [False, *rows["mask:mass"][1:]]}

    def typed(table):
        made = _columns(change)(table)
        return made.cast(
            pa.schema([made.schema.field(i).with_type(f.type) for i, f in enumerate(table.schema)], dict([MARK]))
        )

    folder.predictions(typed, "chestmnist")
    (finding,) = review(folder.root)
    assert finding.check == "columns" and "contradict" in finding.message


def bomb(rows=1000, width=1, metadata=None):
    table = pa.table({f"probability:{i}": np.zeros(rows) for i in range(width)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def test_bombs_are_not_unpacked(folder, monkeypatch):
    packed = bomb(untrusted.ROWS + 1)
    assert len(packed) < 200_000  # and 40 MB unpacked

    def forbidden(*_, **__):
        raise AssertionError("it was read")

    monkeypatch.setattr(pq.ParquetFile, "read", forbidden)
    for content, words in (
        (packed, "5,000,001 rows; the limit"),
        (bomb(1, untrusted.COLUMNS + 1), "3,001 columns; the limit"),
        (bomb(60_000, 2_000), "cells; the limit"),
        (packed[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1", "The footer has 2,147,483,647 bytes"),
        (packed[:-8] + (50).to_bytes(4, "little") + b"PAR1", "The Parquet file cannot be read"),
    ):
        folder.predictions(content)
        (finding,) = review(folder.root / folder.name())
        assert words in finding.message
    monkeypatch.setattr(untrusted, "UNPACKED_LIMIT", 100)
    folder.predictions(bomb(100, 2))
    assert any("unpacked bytes" in row.message for row in review(folder.root / folder.name()))


def test_one_long_text_is_not_unpacked_into_every_row(tmp_path):
    """100 kB on the disk, 40 GB as plain strings."""
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(400_000, np.int32)), pa.array(["x" * 100_000]))
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(400_000, np.int32)), pa.array(["0" * 32]))
    table = pa.table({
        "sample": word, "patient": ids, "label": np.zeros(400_000, np.int64), "mask": np.ones(400_000, bool),
        "probability:a": np.zeros(400_000),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    with raises(ResultError, "predictions-ids-wrong"):
        read_predictions(tmp_path / "a.parquet")


def test_a_file_that_ends_its_reader_is_told_about_and_the_others_are_judged(apart, folder, monkeypatch):
    """A reader that dies as pyarrow 26 does of a footer with wrong statistics, when it is asked for a column's size."""
    from medzoo import child_process

    bad = folder.name("phantom_oct")
    dying = (
        "import json, os, sys\n"
        "for file in json.load(sys.stdin)['files']:\n"
        "    'phantom_oct' in file and os.abort()\n"
        "    print('read', flush=True)\n"
    )
    real = child_process.subprocess.run
    asked = []

    def run(command, **options):
        asked.append(command)
        return real([command[0], "-c", dying], **options)

    with monkeypatch.context() as patch:
        patch.setattr(child_process.subprocess, "run", run)
        assert folder.judge() == {("harm", predictions_file(bad))} and len(asked) == 1
    assert folder.judge() == set()


def test_whatever_the_bytes_there_is_a_sentence(apart, folder, tmp_path):
    from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox

    rng = np.random.default_rng(0)
    whole = (folder.root / predictions_file(folder.name("chestmnist"))).read_bytes()
    paths = []
    for number in range(80):
        content = np.frombuffer(whole, np.uint8).copy()
        place = rng.integers(0, len(content), 3) if number % 2 else len(content) - 1 - rng.integers(0, 5000, 3)
        content[place] = rng.integers(0, 256, 3)
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content[: len(content) - number % 5].tobytes())
        paths.append(path)
    harm = check_in_sandbox(paths)
    read = 0
    for path in paths:
        if path not in harm:
            try:
                read_predictions(path)
                read += 1
            except ResultError as error:
                assert str(error)
    assert read < 40  # most are noticed; what is not is noticed by the sha256


def test_a_file_that_takes_more_memory_than_it_may(apart, tmp_path):
    from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox

    (tmp_path / "a.parquet").write_bytes(bomb(4_000_000, 8))  # 256 MB unpacked, and 6 kB on the disk
    table = pa.table({"result": ["x"]})
    pq.write_table(table, tmp_path / "b.parquet")
    both = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    found = check_in_sandbox(both, predictions=False, memory=100 * 2**20)
    assert list(found) == both[:1]
    assert "more than 100 MiB of memory" in found[both[0]] or "signal" in found[both[0]] or "Memory" in found[both[0]]
    assert check_in_sandbox(both, predictions=False) == {}


FILES = {
    "runs/setup.py": "type", "evil.sh": "type", "runs/phantom_chest@1/x/medzoo/notes.json": "type", ".hidden": "type",
    "predictions/phantom_chest@1/x/medzoo/0123456789abcdef.csv": "type", "runs/a/b/c/0123456789abcdef.json.gz": "type",
    "runs/a\\b/x.json": "path", "runs/new\nline.json": "path", "runs/.git/b/c/0123456789abcdef.json": "type",
    "predictions/a@1/b/c/0123456789abcdef.parquet": "orphan",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_only_runs_and_predictions_are_taken(folder, name):
    path = folder.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"import os")
    assert folder.judge() == {(FILES[name], name)}


def test_names_that_are_no_text(folder):
    (folder.root / os.fsdecode(b"runs/\xff.json")).write_bytes(b"")
    assert folder.judge() == {("type", "runs/\\udcff.json")}


def test_what_belongs_to_a_clone_or_a_card_is_left_alone(folder):
    for name in (".git/config", ".cache/huggingface/x", "README.md", "results.parquet", "eval.yaml"):
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_text("x")
    assert folder.judge() == set()


def test_links_and_devices_are_not_opened(folder, tmp_path):
    name = folder.name()
    (tmp_path / "outside.json").write_text((folder.root / name).read_text())
    (folder.root / name).unlink()
    (folder.root / name).symlink_to(tmp_path / "outside.json")
    (folder.root / "runs" / "linked").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder.root / "runs" / "pipe.json")
    found = folder.judge()
    assert {("link", name), ("link", "runs/linked"), ("link", "runs/pipe.json")} <= found
    assert {check for check, _ in found} == {"link", "orphan"}


def test_files_that_are_too_large_are_not_read(folder, monkeypatch):
    path = folder.root / folder.name()
    path.write_bytes(path.read_bytes() + b" " * untrusted.JSON_LIMIT)
    assert ("size", folder.name()) in folder.judge()
    path = folder.root / predictions_file(folder.name("phantom_oct"))
    monkeypatch.setattr(contribution, "PARQUET_LIMIT", path.stat().st_size - 1)
    assert ("size", predictions_file(folder.name("phantom_oct"))) in folder.judge()


@pytest.fixture
def base(folder, tmp_path):
    """The repository as it is: what the folder holds but for one run."""
    shutil.copytree(folder.root, tmp_path / "base")
    (tmp_path / "base" / folder.name()).unlink()
    (tmp_path / "base" / predictions_file(folder.name())).unlink()
    return tmp_path / "base"


def test_nothing_of_the_repository_is_removed_or_changed(folder, base):
    assert review(folder.root, base=base) == []
    shutil.copytree(base, folder.root, dirs_exist_ok=True)
    for name in ("README.md", "results.parquet"):
        (folder.root / name).write_text("new")
    (base / "README.md").write_text("old")
    old, gone = folder.name("phantom_oct"), folder.name("chestmnist")
    (folder.root / old).write_text((folder.root / old).read_text() + " ")
    (folder.root / predictions_file(gone)).unlink()
    found = {(row.check, row.file) for row in review(folder.root, base=base)}
    assert found == {
        ("changed", old), ("removed", predictions_file(gone)), ("derived", "README.md"), ("derived", "results.parquet"),
    }  # fmt: skip
    with raises(UsageError, "not-a-folder"):
        review(folder.root, base=base / "nowhere")


def test_what_was_there_is_not_judged_again(folder, base):
    old = folder.name("phantom_oct")
    for root in (folder.root, base):
        (root / old).write_text("{}")
    assert review(folder.root, base=base) == []
    shutil.rmtree(folder.root)
    shutil.copytree(base, folder.root)
    assert [row.check for row in review(folder.root, base=base)] == ["empty"]


def test_a_replicate_of_a_run_that_is_there(folder, base, tmp_path):
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run("phantom_oct", draw=9))
    (one,) = prepare_upload(other.root, tmp_path / "more", SALT)[0]
    name = one.file.replace(".json", ".r2.json")
    shutil.move(tmp_path / "more" / one.file, folder.root / name)
    shutil.move(tmp_path / "more" / predictions_file(one.file), folder.root / predictions_file(name))
    assert review(folder.root, base=base) == []


def test_a_number_from_a_publication(folder):
    name = run_file(samples.reported()[0]["identity"])
    path = folder.root / name
    result = json.loads(path.read_text())
    result["provenance"]["source_url"] = "seen somewhere"
    path.write_text(json.dumps(result))
    assert folder.judge() == {("reported", name)}


TOML = """
architecture = "resnet18"
[input]
size = 224
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[license]
id = "mit"
redistributable = true
[hub]
repo = "medzoo/resnet18-ours"
revision = "{revision}"
sha256 = "{sha256}"
size = 1
{more}
"""


@pytest.fixture
def registered(private_home):
    """A checkpoint of the registry, with its pin."""

    def write(sha256, more='[pretraining]\ndata = ["ours"]'):
        path = private_home / "hub_configs" / "resnet18-ours.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(TOML.format(revision="0" * 40, sha256=sha256, more=more))
        os.utime(path, ns=(0, len(more) + int(sha256[:8], 16)))  # the registry reads a file again when its time changes

    return write


def test_the_weights_of_a_name_are_those_that_are_pinned(folder, registered):
    registered(samples.digest("ours"))
    name = folder.edit(
        lambda result: result["identity"]["checkpoint"].update(
            id="resnet18-ours", weights_sha256=samples.digest("ours"), init="stored"
        )
    )
    assert folder.judge() == set()
    registered(samples.digest("others"))
    assert folder.judge() == {("checkpoint", name)}
    registered(samples.digest("ours"), more="")
    assert folder.judge() == {("sources", name)}
    registered(samples.digest("ours"))
    name = folder.edit(
        lambda result: result["identity"]["checkpoint"].update(arch="resnet50"),
        checkpoint="resnet18-ours", weights_sha256=samples.digest("ours"),
    )  # fmt: skip
    assert folder.judge() == {("checkpoint", name)}


def test_a_checkpoint_on_the_hub_says_what_it_was_trained_on(folder, hub_server):
    api = HfApi()
    api.create_repo("lab/net")

    def publish(facts):
        config = {"architecture": "resnet18", "medzoo": facts} if facts is not None else {"architecture": "resnet18"}
        made = api.create_commit(
            "lab/net", [CommitOperationAdd("config.json", json.dumps(config).encode())], commit_message="x"
        )
        return made.oid

    sha256 = samples.digest("net")
    right = publish({"sha256": sha256, "lineage": [{"data": "imagenet"}, {"data": "ours"}]})
    names = []

    def use(commit, weights=sha256):
        for name in names:
            (folder.root / name).unlink()
            shutil.rmtree((folder.root / predictions_file(name)).parent)
        names.clear()
        result = json.loads((folder.root / folder.name("phantom_oct")).read_text())
        checkpoint = result["identity"]["checkpoint"]
        checkpoint.update(id=f"hf-hub:lab/net@{commit}", weights_sha256=weights, init="stored")
        result["run_id"] = run_id(result["identity"])
        names.append(run_file(result["identity"]))
        for path in (names[0], predictions_file(names[0])):
            (folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / names[0]).write_text(json.dumps(result))
        shutil.copy(
            folder.root / predictions_file(folder.name("phantom_oct")), folder.root / predictions_file(names[0])
        )
        return {check for check, file in folder.judge() if file == names[0]}

    assert use(right) == set()
    assert use(right, samples.digest("other")) == {"checkpoint"}
    assert use(right, None) == {"checkpoint"}
    assert use("1" * 40) == {"checkpoint"}  # there is no such commit
    assert use(publish({"sha256": sha256, "lineage": [{"method": "simclr"}]})) == {"sources"}
    assert use(publish({"sha256": sha256})) == {"sources"}
    assert use(publish(None)) == {"sources", "checkpoint"}


def test_usage(folder, tmp_path):
    with raises(UsageError, "path-missing"):
        review(tmp_path / "nowhere")
    (tmp_path / "a.json").write_text("{}")
    with raises(UsageError, "not-a-run-file"):
        review(tmp_path / "a.json")
    (tmp_path / "empty").mkdir()
    assert [row.check for row in review(tmp_path / "empty")] == ["empty"]
    folder.edit(_set("metrics", 0, "n", to=7))
    (found,) = review(folder.root)
    assert isinstance(found, ReviewFinding) and str(found) == f"{found.file}: {found.message} [counts]"
    assert review(folder.root / folder.name("phantom_oct")) == []  # one run alone
    assert review(folder.root / folder.name()) == [found]


# pull requests


@pytest.fixture
def public(hub_server, tmp_path):
    """A public repository with a few runs, and a stranger's store."""
    store = samples.fill(tmp_path / "ours", seeds=(0,))
    push_results(store, REPO, salt=SALT, private=False)
    other = ResultStore(tmp_path / "theirs")
    other.put(*samples.run("phantom_chest", seed=5))
    other.put(*samples.run("phantom_oct", seed=5))
    return other


def propose(server, operations, start=None):
    """A pull request of a stranger, by hand."""
    made = HfApi(token=server.stranger).create_commit(
        REPO, operations, commit_message="Mine", repo_type="dataset", create_pr=True, parent_commit=start
    )
    return made.pr_num


def test_a_strangers_pull_request_is_judged_and_merged(hub_server, public):
    theirs = push_results(public, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    assert review_pull_request(REPO, 1) == []
    got = hub_server.requests("GET", f"/datasets/{REPO}/resolve/*")
    assert {row.path.rpartition("/")[2] for row in got if row.user == "owner"} >= {
        name.rpartition("/")[2] for name in theirs.added
    }
    HfApi().merge_pull_request(REPO, 1, repo_type="dataset")
    assert set(theirs.added) <= set(HfApi().list_repo_files(REPO, repo_type="dataset"))
    assert review_pull_request(REPO, 1) == []


def test_a_pull_request_that_main_overtook(hub_server, public, tmp_path):
    push_results(public, REPO, salt="the stranger's secret", create_pr=True, token=hub_server.stranger)
    ours = ResultStore(tmp_path / "ours")
    ours.put(*samples.run(seed=9))
    push_results(ours, REPO, salt=SALT)
    assert review_pull_request(REPO, 1) == []  # what main got meanwhile was not removed by it
    ours.put(*samples.run("phantom_oct", seed=5))
    push_results(ours, REPO, salt=SALT)
    found = {(row.check, row.file.partition("/")[0]) for row in review_pull_request(REPO, 1)}
    assert found == {("conflict", "runs"), ("conflict", "predictions")}


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")
def test_a_pull_request_that_does_what_it_must_not(hub_server, public):
    files = [name for name in HfApi().list_repo_files(REPO, repo_type="dataset") if name.startswith("runs/")]
    before = len(hub_server.log)
    number = propose(
        hub_server,
        [
            CommitOperationAdd("train.py", b"import os"),
            CommitOperationAdd("README.md", b"# Mine\n"),
            CommitOperationAdd(files[0], b"{}"),
            CommitOperationDelete(files[1]),
            CommitOperationAdd("runs/a@1/b/c/0123456789abcdef.json", b" " * (untrusted.JSON_LIMIT + 1)),
            CommitOperationAdd("runs/a@1/b/c/0123456789abcde0.json", b"{}"),
            CommitOperationAdd("predictions/a@1/b/c/0123456789abcde1.parquet", b"PAR1"),
        ],
    )
    found = {(row.check, row.file) for row in review_pull_request(REPO, number)}
    assert found == {
        ("type", "train.py"), ("derived", "README.md"), ("changed", files[0]), ("removed", files[1]),
        ("size", "runs/a@1/b/c/0123456789abcdef.json"), ("schema", "runs/a@1/b/c/0123456789abcde0.json"),
        ("orphan", "predictions/a@1/b/c/0123456789abcde1.parquet"),
    }  # fmt: skip
    got = {
        row.path.rpartition("/")[2] for row in hub_server.log[before:] if row.method == "GET" and "resolve" in row.path
    }
    assert got == {"0123456789abcde0.json", "0123456789abcde1.parquet"}  # nothing else came to this machine


def test_pull_requests_that_are_not_there(hub_server, public):
    with raises(ResultError, "revision-not-found"):
        review_pull_request(REPO, 7)
    with raises(ResultError, "repository-not-found"):
        review_pull_request("lab/nothing", 1)
    with raises(UsageError, "unknown-results-repository"):
        review_pull_request("nothing", 1)


def test_a_hash_of_predictions_is_their_content(folder):
    name = predictions_file(folder.name())
    table = read_predictions(folder.root / name)
    assert hashlib.sha256(parquet_bytes(table)).hexdigest() == files_store.sha256_file(folder.root / name)
