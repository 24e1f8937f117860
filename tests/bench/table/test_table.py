"""medzoo.bench.table.table: right means, nothing averaged that should not be, every number with its file."""

import json
import re
import statistics
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from expect import raises
from PIL import Image

from medzoo.bench.results.store import ResultStore
from medzoo.bench.table import matching
from medzoo.bench.table.table import table
from medzoo.errors import ResultError, UnknownNameError, UsageError

VALUES = {
    ("resnet18-random", "phantom_chest"): [0.7, 0.72, 0.71],
    ("resnet18-imagenet", "phantom_chest"): [0.81, 0.83, 0.85],
    ("resnet18-random", "phantom_ct"): [0.6],
}


@pytest.fixture
def store(tmp_path, make_run):
    store = ResultStore(tmp_path / "out" / "results")
    for (checkpoint, task), values in VALUES.items():
        for seed, value in enumerate(values):
            store.put(*make_run(checkpoint=checkpoint, task=task, seed=seed, value=value))
    return store


def cell(made, row, column):
    labels, titles = [r.label for r in made.rows], [c.title for c in made.columns]
    return made.grid[labels.index(row)][titles.index(column)]


def worded(made):
    return [[cell.worded(c.digits) for c, cell in zip(made.columns, cells, strict=True)] for cells in made.grid]


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.outside = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key == "href":
                self.found.append(value)
            if key in ("src", "srcset", "action") or tag in ("link", "iframe", "img"):
                self.outside.append((tag, key, value))


def test_cells_are_mean_sample_sd_and_n(store):
    made = table(store.root)
    assert [row.label for row in made.rows] == ["resnet18-random", "resnet18-imagenet"]
    assert [(c.title, c.heading) for c in made.columns] == [("phantom_chest", "AUROC ↑"), ("phantom_ct", "AUROC ↑")]
    assert worded(made) == [["0.710 ± 0.010 (3)", "0.600 (1)"], ["0.830 ± 0.020 (3)", "—"]]
    assert cell(made, "resnet18-imagenet", "phantom_chest").sd == pytest.approx(statistics.stdev([0.81, 0.83, 0.85]))
    assert made.columns[0].size == "20 images, 10 patients"


def test_chosen_rows_and_columns_keep_their_order_and_place(store):
    made = table(
        store.root,
        checkpoints={"resnet18-absent": "absent", "resnet18-imagenet": "ImageNet"},
        tasks={"phantom_oct": "OCT", "phantom_chest": "Chest"},
    )
    assert [row.label for row in made.rows] == ["absent", "ImageNet"]
    assert [(c.title, c.heading) for c in made.columns] == [("OCT", "no results yet"), ("Chest", "AUROC ↑")]
    assert worded(made) == [["—", "—"], ["—", "0.830 ± 0.020 (3)"]]
    assert any("Not shown" in note and "resnet18-random on phantom_ct" in note for note in made.footnotes)
    for text in (made.to_text(), made.to_markdown(), made.to_html()):
        assert "ImageNet" in text and "no results yet" in text


def test_results_as_files_and_dicts(store):
    found = store.all()
    expected = worded(table(store.root))
    assert worded(table([path for path, _ in found])) == expected
    assert worded(table([str(path) for path, _ in reversed(found)])) == expected
    assert worded(table([{**result, "path": path} for path, result in found])) == expected
    assert worded(table([path for path, _ in [*found, *found]])) == expected  # each run once
    made = table([result for _, result in found])
    assert worded(made) == expected and found[0][1]["run_id"][:16] in made.to_markdown()


def test_diverged_and_failed_runs_are_shown_and_never_averaged(store, make_run):
    store.put(
        *make_run(checkpoint="resnet18-random", task="phantom_ct", seed=1, status="diverged", reason="NaN at step 4")
    )
    store.put(*make_run(checkpoint="resnet18-random", task="phantom_ct", seed=2, value=0.62))
    store.put(*make_run(checkpoint="resnet18-imagenet", task="phantom_ct", seed=0, status="failed"))
    made = table(store.root)
    assert worded(made)[0][1] == "0.610 ± 0.014 (2/3)†"
    assert worded(made)[1][1] == "failed (0/1)†"
    assert any("seed 1: diverged (NaN at step 4)" in note for note in made.footnotes)


def test_an_undefined_value_is_no_zero(store, make_run):
    store.put(*make_run(checkpoint="resnet18-imagenet", task="phantom_ct", value=None))
    made = table(store.root)
    assert worded(made)[1][1] == "undefined (0/1)†"
    assert any("no positive case" in note for note in made.footnotes)


def test_reported_numbers_have_their_own_column_and_no_mean(store, make_run):
    store.put(*make_run(checkpoint="resnet18-imagenet", seed=9, value=0.99, provenance={"origin": "reported"}))
    made = table(store.root)
    assert [c.heading for c in made.columns] == ["AUROC ↑", "AUROC ↑ (reported)", "AUROC ↑"]
    assert worded(made)[1][:2] == ["0.830 ± 0.020 (3)", "0.990"]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol__hash": "1" * 64}, {"protocol__label_fraction": 0.1}, {"dataset__fingerprint": "other"},
        {"dataset__split_hash": "other"}, {"dataset__label_policy": "zero"}, {"task__version": "2"}, {"metric": "accuracy"},
    ],
)  # fmt: skip
def test_what_cannot_be_compared_gets_its_own_column(store, make_run, change):
    store.put(*make_run(checkpoint="resnet18-imagenet", seed=5, value=0.1, **change))
    made = table(store.root, tasks=["phantom_chest"])
    assert len(made.columns) == 2
    assert sorted(text for row in worded(made) for text in row) == sorted(
        ["0.710 ± 0.010 (3)", "0.830 ± 0.020 (3)", "0.100 (1)", "—"]
    )


def test_other_weights_under_one_name_get_their_own_row(store, make_run):
    store.put(*make_run(checkpoint="resnet18-imagenet", seed=0, value=0.1, checkpoint__weights_sha256="ab" * 32))
    made = table(store.root, checkpoints={"resnet18-imagenet": "ImageNet"}, tasks=["phantom_chest"])
    assert "ImageNet @abababab" in [row.label for row in made.rows] and len(made.rows) == 2
    assert any(note.startswith("@: ") for note in made.footnotes)


def test_runs_that_differ_in_their_input_have_no_mean(store, make_run):
    store.put(*make_run(checkpoint="resnet18-imagenet", seed=7, value=0.1, dataset__preprocess_hash="size-64"))
    made = table(store.root)
    assert worded(made)[1][0] == "mixed (4)‡"
    assert cell(made, "resnet18-imagenet", "phantom_chest").mean is None


def test_replicates_are_not_counted(store, make_run):
    with pytest.warns(UserWarning, match="not counted"):
        store.put(*make_run(checkpoint="resnet18-random", task="phantom_ct", seed=0, value=0.9))
    assert worded(table(store.root))[0][1] == "0.600 (1)"
    both = [path for path, _ in store.all(replicates=True)]
    assert worded(table(reversed(both)))[0][1] == "0.600 (1)"


def test_another_metric_can_be_shown(store):
    made = table(store.root, metric="brier")
    assert {c.heading for c in made.columns} == {"Brier score ↓"}
    mixed = table(store.root, metric={"phantom_ct": "accuracy"})
    assert [c.heading for c in mixed.columns] == ["AUROC ↑", "accuracy ↑"]
    with raises(UnknownNameError, "unknown-metric"):
        table(store.root, metric="briar")
    with raises(ResultError, "metric-missing"):
        table(store.root, metric="dice")


def test_names_are_matched_without_the_place_of_the_data(make_run):
    result, _ = make_run(checkpoint="net", task="parquet:busi_224")
    made = table([result], checkpoints={"hf-hub:lab/net@main": "net"}, tasks={"parquet:/data/busi_224": "BUSI"})
    assert worded(made) == [["0.750 (1)"]] and made.columns[0].title == "BUSI"


def test_nothing_to_show_is_said(tmp_path, make_run):
    with raises(ResultError, "no-results-for-table"):
        table(ResultStore(tmp_path).root)
    with raises(UsageError, "not-a-result-file"):
        table(tmp_path / "absent")
    (tmp_path / "broken.json").write_text("{}")
    with raises(ResultError, "result-field-missing"):
        table([tmp_path / "broken.json"])
    empty = table([], checkpoints=["a"], tasks=["b"])
    assert worded(empty) == [["—"]] and "—" in empty.to_html() and empty.plot()


def test_every_number_leads_to_its_file(store, tmp_path):
    made = table(store.root, title="Traceable")
    folder = tmp_path / "out" / "deep er" / "tables"
    paths = made.write(folder)
    assert sorted(path.name for path in paths.values()) == [
        f"table.{suffix}" for suffix in ("csv", "html", "md", "parquet", "png", "tex")
    ]
    page, text = paths["html"].read_text(), paths["markdown"].read_text()
    links = Links(page).found
    assert len(links) == 7 and links == re.findall(r"\]\((\S+?)\)", text)
    for link in links:
        result = json.loads((folder / unquote(link)).read_text())
        identity = result["identity"]
        values = VALUES[identity["checkpoint"]["id"], identity["task"]["id"]]
        assert (
            f"seed {identity['seed']}: [" not in text
            and f"[seed {identity['seed']}: {values[identity['seed']]:.4f}]" in text
        )
    for written in (page, text):
        assert str(tmp_path) not in written
        assert "Traceable" in written and made.generator in written and made.columns[0].protocol_hash in written


def test_the_page_needs_nothing_else(store):
    page = table(store.root).to_html()
    assert not Links(page).outside and "http" not in re.sub(r"<!doctype html>|http-equiv", "", page)
    assert "prefers-color-scheme: dark" in page and "aria-sort" in page


def test_hostile_names_do_no_harm(make_run):
    name = "<script>alert(1)|*x*"
    made = table([make_run(checkpoint=name, task="<b>t")[0]], title="</title><i>")
    assert "<script>alert" not in made.to_html() and "<b>t" not in made.to_html() and "<i>" not in made.to_html()
    row = next(line for line in made.to_markdown().splitlines() if "0.750" in line)
    assert "\\|" in row and "<script>" not in row and len(re.findall(r"(?<!\\)\|", row)) == 3


def test_the_same_results_give_the_same_bytes(store, tmp_path):
    first, second = (table(store.root, title="T $x_$").write(tmp_path / "same" / name) for name in ("a", "b"))
    for kind in first:
        assert first[kind].read_bytes() == second[kind].read_bytes()
    with Image.open(first["png"]) as picture:
        assert picture.format == "PNG" and picture.info["Description"] == table(store.root, title="T $x_$").to_text()


def test_columns_that_do_not_fit_go_into_further_blocks(store):
    made = table(store.root)
    whole = made.to_text().split("\n\n")
    assert made.to_text(200).split("\n\n") == whole
    blocks = made.to_text(45).split("\n\n")
    assert len(blocks) == len(whole) + 1 and max(map(len, "\n".join(blocks[1:3]).splitlines())) <= 45
    assert "phantom_chest" in blocks[1] and "phantom_ct" in blocks[2] and "phantom_ct" not in blocks[1]
    assert all("resnet18-random" in block and "resnet18-imagenet" in block for block in blocks[1:3])
    narrow = made.to_text(1)  # narrower than a column: one column in each block
    assert "0.710 ± 0.010 (3)" in narrow and "0.600 (1)" in narrow


def test_text_is_aligned_and_says_what_the_numbers_are(store):
    lines = table(store.root, footnotes=["A note."]).to_text().splitlines()
    assert lines[2].index("phantom_chest") < lines[2].index("phantom_ct")
    assert any("not a confidence interval" in line for line in lines) and lines[-1] == "A note."


def test_a_large_figure_is_drawn(make_run):
    runs = [make_run(checkpoint=f"net{i}", task=f"task{j}", value=0.5 + i / 20)[0] for i in range(3) for j in range(6)]
    figure = table(runs).plot()
    assert sum(axis.get_visible() for axis in figure.axes) == 6


def test_results_of_other_weights_with_the_same_name_are_named(make_run, monkeypatch):
    """A name whose weights on this machine differ from those of its results still shows them."""
    run = make_run(checkpoint="resnet18-imagenet")[0]
    own = run["identity"]["checkpoint"]["weights_sha256"]
    for sha256, expected in (("f" * 64, True), (own, False)):
        here = SimpleNamespace(name="resnet18-imagenet", architecture="resnet18", sha256=sha256)
        monkeypatch.setattr(matching, "identify", lambda name, hub, here=here: here)
        made = table([run], checkpoints=["resnet18-imagenet"])
        assert made.grid[0][0].mean is not None
        assert any("of other weights" in note for note in made.footnotes) == expected
