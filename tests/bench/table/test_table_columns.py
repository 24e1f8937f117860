"""Columns of a table: what they differ in stands in their headings, folds of one cross-validation are averaged, and no others."""

import hashlib

import pytest

from medzoo.bench.results.store import ResultStore
from medzoo.bench.table import matching
from medzoo.bench.table.matching import match_checkpoints, match_tasks, task_key
from medzoo.bench.table.table import table
from medzoo.errors import UsageError


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def fold_of(make_run):
    """A run of a fold, as real ones are: its own split, and the cross-validation that it belongs to."""

    def made(fold, value, *, whole="A", count=5, stated=True, **changes):
        result, _ = make_run(
            value=value, fold=fold, dataset__split_hash=f"split-{whole}-{fold}", draw=fold, **changes
        )  # fmt: skip
        if stated:
            result["train"]["folds"] = {"count": count, "sha256": digest(whole)}
        return result

    return made


def shown(made):
    return {
        row.label: [cell.worded(c.digits) for c, cell in zip(made.columns, cells, strict=True)]
        for row, cells in zip(made.rows, made.grid, strict=True)
    }


def pages(made):
    return made.to_text(), made.to_markdown(), made.to_html()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol__mode": "linear"}, ["finetune", "linear probe"]),
        ({"protocol__label_fraction": 0.1}, ["100 % of train", "10 % of train"]),
        ({"protocol__size": 224, "protocol__hash": digest("other")}, ["28 px", "224 px"]),
        ({"protocol__id": "own", "protocol__hash": digest("other")}, ["protocol medzoo", "protocol own"]),
        ({"protocol__hash": digest("other")}, [digest("medzoo")[:8], digest("other")[:8]]),
        ({"dataset__label_policy": "zero"}, ["uncertain labels: zero"]),
        ({"task__version": "2"}, ["version 1", "version 2"]),
        ({"dataset__fingerprint": "elsewhere"}, ["data data-pha", "data elsewher"]),
        ({"dataset__split_hash": "made-anew"}, ["split split", "split made-ane"]),
        ({"fold": 2, "dataset__split_hash": "made-anew"}, ["fold 2"]),
    ],
)
def test_headings_say_in_what_columns_differ(make_run, change, words):
    runs = [make_run(value=0.8)[0], make_run(value=0.7, **change)[0]]
    made = table(runs)
    assert len(made.columns) == 2 and len({column.detail for column in made.columns}) == 2
    for page in pages(made):
        assert all(word in page for word in words)
    titles = [axis.get_title(loc="left") for axis in made.plot().axes]
    assert all(any(word in title for title in titles) for word in words)
    # and nothing is told where there is nothing to tell apart
    assert [column.detail for column in table(runs[:1]).columns] == [""]
    assert not any(word in table(runs[:1]).to_text() for word in words if "px" not in word and len(word) > 8)


def test_two_tasks_at_two_sizes_say_so(make_run):
    runs = [
        make_run(value=0.8)[0],
        make_run(value=0.7, task="phantom_ct", protocol__size=40, protocol__hash=digest("x"))[0],
    ]
    assert [column.detail for column in table(runs).columns] == ["28 px", "40 px"]
    several = [make_run(value=0.8)[0], make_run(value=0.7, checkpoint="vit-x", protocol__size=384)[0]]
    (column,) = table(several).columns  # one protocol, each checkpoint at its own size
    assert column.pixels == "28 to 384 px" and column.detail == ""


def test_folds_are_averaged_over_folds_not_over_runs(fold_of):
    values = {0: [0.6, 0.8], 1: [0.9], 2: [0.5], 3: [0.7], 4: [0.8]}
    runs = [fold_of(fold, value, seed=seed) for fold, some in values.items() for seed, value in enumerate(some)]
    made = table(runs)
    (column,), ((cell,),) = made.columns, made.grid
    means = [sum(some) / len(some) for some in values.values()]
    assert cell.mean == pytest.approx(sum(means) / 5) and cell.worded(3).endswith("(5 folds x 1 to 2 seeds)")
    assert column.folds == 5 and "5 folds" in column.how
    even = table([fold_of(fold, 0.5 + fold / 10, seed=seed) for fold in range(5) for seed in range(3)])
    assert shown(even) == {"resnet18-imagenet": ["0.700 ± 0.158 (5 folds x 3 seeds)"]}
    assert any("folds of a cross-validation" in note for note in even.footnotes)


def test_a_missing_fold_is_marked_and_named(fold_of):
    made = table([fold_of(fold, 0.5) for fold in (0, 2, 4)])
    assert shown(made) == {"resnet18-imagenet": ["0.500 ± 0.000 (3/5 folds)†"]}
    assert any("fold 1, 3" in note for note in made.footnotes)
    lost = [*(fold_of(fold, 0.5) for fold in range(4)), fold_of(4, None, status="diverged")]
    assert shown(table(lost)) == {"resnet18-imagenet": ["0.500 ± 0.000 (4/5 folds)†"]}


def test_folds_of_two_divisions_are_never_mixed(fold_of, make_run):
    runs = [
        fold_of(0, 0.5),
        fold_of(1, 0.6),
        fold_of(1, 0.9, whole="B"),
        fold_of(2, 0.8, whole="B"),
        make_run(value=0.1)[0],
    ]
    made = table(runs)
    assert sorted(shown(made)["resnet18-imagenet"]) == [
        "0.100 (1)",
        "0.550 ± 0.071 (2/5 folds)†",
        "0.850 ± 0.071 (2/5 folds)†",
    ]
    assert len({column.detail for column in made.columns}) == 3
    assert [column.detail for column in made.columns if column.folds is None] == [""]
    # results that do not say which division they belong to stand alone
    unsaid = table([fold_of(fold, 0.5, stated=False) for fold in (0, 3)])
    assert [column.detail for column in unsaid.columns] == ["fold 0", "fold 3"]


def test_a_fold_with_one_seed_twice_has_no_mean(fold_of):
    runs = [fold_of(fold, 0.5) for fold in range(5)]
    assert shown(table([*runs, fold_of(0, 0.9, dataset__preprocess_hash="other")]))["resnet18-imagenet"] == [
        "mixed (6)‡"
    ]


def test_real_folds_share_a_column_whatever_the_split_file(tmp_path):
    from medzoo.bench.results.folds import fold_facts
    from medzoo.training.options.shared import SharedOptions, open_task

    name = "phantom_oct,n=24,n_validation=12,n_test=24"
    made = [SharedOptions(task=name, fold=fold) for fold in (0, 1)]
    facts = [fold_facts(open_task(options), options)["folds"] for options in made]
    assert facts[0] == facts[1] and facts[0]["count"] == 5
    assert len({open_task(options).split_hash for options in made}) == 2
    assert fold_facts(open_task(SharedOptions(task=name)), SharedOptions(task=name)) == {}
    ids = [key for split in open_task(made[0]).tables for key in open_task(made[0]).column(split, "id")]
    groups = dict(zip(ids, [g for s in open_task(made[0]).tables for g in open_task(made[0]).groups(s)], strict=True))
    order = sorted(set(groups.values()))
    seen = []
    for number, shift in enumerate((0, 1)):
        lists = tmp_path / f"lists{number}"
        lists.mkdir()
        for fold in range(3):
            for place, split in enumerate(("train", "val", "test")):
                chosen = [key for key in ids if (order.index(groups[key]) + fold + shift * number) % 3 == place]
                (lists / f"{split}_fold{fold}.txt").write_text("\n".join(chosen) + "\n")
        for fold in range(3):
            options = SharedOptions(task=name, fold=fold, split_file=str(lists))
            seen.append(fold_facts(open_task(options), options)["folds"])
    assert [row["count"] for row in seen] == [3] * 6
    divisions = [{row["sha256"] for row in rows} for rows in (seen[:3], seen[3:], facts)]
    assert [len(found) for found in divisions] == [1, 1, 1] and len(set.union(*divisions)) == 3


def test_stored_folds_are_read_back(fold_of, tmp_path, make_run):
    store = ResultStore(tmp_path)
    result, predictions = make_run(fold=1)
    result["train"]["folds"] = {"count": 5, "sha256": digest("A")}
    store.put(result, predictions)
    assert table(tmp_path).columns[0].folds == 5


def test_names_are_matched_by_weights_and_never_by_half_a_name(make_run):
    def run(name, weights):
        return make_run(checkpoint=name, checkpoint__weights_sha256=digest(weights), value=0.5)[0]

    results = [run("net", "one"), run("net", "two"), run("other", "three")]
    both = match_checkpoints(results, ["a/net", "b/net"])  # neither is here, and either may be any of the two
    assert both.places == [[], [], []] and len(both.notes) == 2
    assert match_checkpoints(results[2:], ["lab/other"]).places == [["lab/other"]]
    assert match_checkpoints(results, ["net"]).places == [["net"], ["net"], []]
    hub = run("x", "four")
    hub["identity"]["checkpoint"] |= {"repo": "lab/y", "revision": "a" * 40}
    for name, found in (
        ("lab/y", True),
        (f"hf-hub:lab/y@{'a' * 40}", True),
        (f"lab/y@{'b' * 40}", False),
        ("lab/z", False),
    ):
        assert bool(match_checkpoints([hub], [name]).places[0]) == found, name


def test_random_starts_and_aliases_go_by_the_registrys_name(make_run):
    runs = [make_run(checkpoint="resnet18-random")[0], make_run(checkpoint="resnet50-simclr-radnet12m")[0]]
    names = ["resnet18-random", "resnet50-radnet-ct", "resnet34-random"]
    assert match_checkpoints(runs, names).places == [["resnet18-random"], ["resnet50-radnet-ct"]]


def test_a_name_is_looked_up_once_and_not_for_each_result(make_run, monkeypatch):
    """The registry reads a hundred files for a name that it does not have; a table has hundreds of results."""
    looked, plain = [], matching.is_known
    monkeypatch.setattr(matching, "is_known", lambda name: looked.append(name) or plain(name))
    results = [make_run(checkpoint="suite-net", value=value / 10)[0] for value in range(9)]
    assert match_checkpoints(results, ["lab/suite-net", "suite-net"]).places == [["suite-net"]] * 9
    assert looked == ["lab/suite-net", "suite-net"]


@pytest.mark.parametrize(
    ("asked", "stored", "same"),
    [
        ("folder:/data/scans/", "folder:scans", True), ("folder:scans,window=lung", "folder:scans,window=lung", True),
        ("folder:scans,window=lung", "folder:scans", False), ("parquet:scans", "folder:scans", False),
        ("pneumoniamnist,size=64", "pneumoniamnist,size=64", True), ("pneumoniamnist,size=64", "pneumoniamnist", False),
        ("pneumoniamnist", "pneumoniamnist,size=28", True), ("phantom_ct,n=9,n_test=8", "phantom_ct,n_test=8,n=9", True),
        ("phantom_ct", "phantom_chest", False), ("chexpert,view=frontal", "chexpert", False),
    ],
)  # fmt: skip
def test_tasks_are_matched_by_name_and_choices(make_run, asked, stored, same):
    assert (task_key(asked) == task_key(stored)) == same
    assert match_tasks([make_run(task=stored)[0]], [asked]).places == ([[asked]] if same else [[]])


def test_two_folders_of_one_name_are_not_guessed(make_run, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place / "scans").mkdir(parents=True)
    names = [f"folder:{tmp_path}/{place}/scans" for place in ("a", "b")]
    results = [make_run(task="folder:scans")[0]]
    with pytest.raises(UsageError):
        match_tasks(results, names)
    spelled = [names[0], f"folder:{tmp_path}/b/../a/scans/"]
    assert match_tasks(results, spelled).places == [spelled]
