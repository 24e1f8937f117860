"""The page of a table: its size, its static rows, what its script reads, and the facts about checkpoints."""

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from medzoo.bench.contamination.image_sources import shared_data
from medzoo.bench.results.schema import run_id
from medzoo.bench.statistics.comparison import Comparison
from medzoo.bench.statistics.intervals import Interval
from medzoo.bench.table.checkpoint_facts import checkpoint_facts
from medzoo.bench.table.page.page_data import page_data
from medzoo.bench.table.statistics import CellStatistics, ControlDifference
from medzoo.bench.table.table import table

NETS = [f"resnet50-method{i}-dataset{i}" for i in range(25)]
TASKS = [f"some_task_{i}" for i in range(12)]


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def with_statistics(made):
    """A table whose cells have all statistics."""
    against = Comparison(0.0123456, -0.0212345, 0.0312345, 0.0123, "better", 10.0)
    found = CellStatistics(
        Interval(0.7, 0.6512345, 0.7512345, 9.0, 5, 80),
        (ControlDifference("random", against, 0.4321, 288),),
        (3, 17),
        True,
        reliability=((0.123456, 0.234567),) * 10,
    )
    grid = tuple(tuple(replace(cell, statistics=found if cell.runs else None) for cell in cells) for cells in made.grid)
    return replace(made, grid=grid)


def test_a_page_of_1500_runs_is_small(make_run):
    first = make_run()[0]
    results = []
    for net, task, seed in product(NETS, TASKS, range(5)):
        result = json.loads(json.dumps(first))
        result["identity"] |= {"task": {"id": task, "version": "1"}, "seed": seed}
        result["identity"]["checkpoint"] |= {"id": net, "weights_sha256": f"{NETS.index(net):064x}"}
        result["run_id"] = run_id(result["identity"])
        result["metrics"][0]["value"] = 0.5 + len(results) / 4096
        result["train"] |= {"wall_s": 1234.5, "gpu_s": 1200.25}
        results.append(result | {"path": f"results/{task}@1/{net}/medzoo/{len(results):016x}.json"})
    page = with_statistics(table(results, statistics=False)).to_html(Path("results/table"))
    assert page.count("<a href=") == 1500 and len(page.encode()) < 400_000


def test_the_order_of_the_results_changes_no_byte(make_run):
    runs = [make_run(checkpoint=net, seed=seed, value=0.7 + seed / 50)[0] for net in NETS[:3] for seed in range(2)]
    assert table(runs).to_html() == table(runs[::-1]).to_html()


def test_the_static_rows_need_no_script(make_run):
    runs = [make_run(value=0.8, protocol__mode=mode)[0] for mode in ("linear", "knn")]
    runs += [make_run(checkpoint="resnet18-random", protocol__mode="knn", value=0.7)[0]]
    page = table(runs).to_html()
    head = re.search(r"<thead>.*</thead>", page, re.DOTALL)[0]
    assert head.count("phantom_chest</button>") + head.count("phantom_<wbr>chest</button>") == 2
    assert "linear probe" in head and "kNN probe" in head
    body = re.search(r"<tbody>.*</tbody>", page, re.DOTALL)[0]
    assert body.count("0.8000") == 2 and body.count("<td class=none>—</td>") == 1
    assert all("hidden" in tag for tag in re.findall(r"<[^>]*script-only[^>]*>", page))  # controls that need the script


def test_texts_cannot_leave_the_data_of_the_script(make_run):
    name = "</script><script>alert(1)</script><!--"
    run = make_run(task="<b>&amp;\u2028")[0]
    made = table([run], checkpoints={"resnet18-imagenet": name}, title='"</style><img src=x>')
    page = made.to_html()
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page and "<!--" not in page
    assert data_of(page)["rows"][0]["label"] == name and data_of(page)["title"] == made.title


def test_only_the_own_script_and_style_may_run(make_run):
    import base64
    import hashlib

    page = table([make_run()[0]]).to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for tag in ("script", "style"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert not re.search(r"\s(style|on\w+)=", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))


def test_numbers_and_commands_are_those_of_the_cells(make_run):
    runs = [make_run(value=0.0, seed=seed)[0] for seed in range(2)]
    runs += [make_run(value=0.9, seed=5, provenance={"origin": "reported"})[0]]
    made = table(runs)
    data = page_data(made, None).data
    ours, reported = data["rows"][0]["cells"]
    assert ours["m"] == 0 and ours["n"] == "2" and [run[0] for run in ours["runs"]] == [0, 0]
    for run, cell_run in zip(ours["runs"], made.grid[0][0].runs, strict=True):
        shared, own = data["texts"][run[3]], data["texts"][run[4]]
        assert f"{shared.replace('{checkpoint}', 'resnet18-imagenet')} {own}" == str(cell_run.command)
    assert data["columns"][1]["reported"] and not data["columns"][1]["curve"] and len(reported["runs"][0]) == 3


def test_columns_that_differ_in_the_part_of_the_images_are_one_curve(make_run):
    parts = [{"protocol__label_fraction": share} for share in (0.1, 1.0)]
    parts += [{"training_part": {"per_class": count, "draw": 0}} for count in (1, 5)]
    data = page_data(table([make_run(value=0.7, **part)[0] for part in parts]), None).data
    curves = {(column["per_class"], column["part"]): column["curve"] for column in data["columns"]}
    assert curves[False, 0.1] == curves[False, 1] != curves[True, 1] == curves[True, 5]
    assert len({column["id"] for column in data["columns"]}) == 4


def test_two_requested_names_of_one_task_have_two_ids(make_run):
    made = table([make_run()[0]], tasks={"phantom_chest": "a", "phantom_chest,n=1": "b"})
    ids = [column["id"] for column in page_data(made, None).data["columns"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("name", "method", "data", "study"),
    [
        ("resnet50-radimagenet", "supervised", ("radimagenet",), "Mei et al. 2022"),
        ("resnet50-random", "random weights", ("random weights",), "random weights"),
        ("resnet18-simclr-phantom_ct-oct", "simclr", ("phantom_ct", "oct"), "not known"),
        ("lab/private", "not known", ("not known",), "not known"),
    ],
)
def test_facts_are_those_of_the_registry_or_of_the_name(name, method, data, study):
    facts = checkpoint_facts(name, "resnet50")
    assert (facts.method, facts.data, facts.study) == (method, data, study)
    assert facts.architecture == "resnet50" and facts.parameters == 23508032


@pytest.mark.parametrize(
    ("name", "task", "seen"),
    [
        ("resnet50-imagenet-chestxray14", "chestxray14", "chestxray14"),
        ("resnet50-imagenet-chestxray14", "rsna_pneumonia", "chestxray14"),
        ("resnet50-imagenet-mimic", "mimic_cxr,window=lung", "mimic"),
        ("resnet50-imagenet-chestxray14", "isic", ""),
        ("resnet18-simclr-phantom_ct", "phantom_ct", "phantom_ct"),
        ("resnet18-simclr-busi_224", "folder:scans/BUSI-224", "busi_224"),
        ("resnet50-random", "phantom_ct", ""),
    ],
)
def test_data_that_a_checkpoint_has_seen_is_marked(make_run, name, task, seen):
    assert shared_data(checkpoint_facts(name, "resnet50").data, task) == seen
    page = table([make_run(checkpoint=name, task=task)[0]]).to_html()
    assert ("<summary><em>seen</em>" in page) == bool(seen) == ("the pre-training had images of this task" in page)
