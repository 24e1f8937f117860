"""The order of runs: longest first within a seed, so that a table has a value in every cell early."""

from medzoo.bench.campaign.order import longest_first, stored_results
from medzoo.bench.suite import SuiteCell


def cell(checkpoint, task, seed, **options):
    return SuiteCell(checkpoint, checkpoint, task, task, "medzoo", "finetune", seed, options=options)


def result(task, seconds, checkpoint="other", status="ok"):
    identity = {"task": {"id": task}, "protocol": {"mode": "finetune"}, "checkpoint": {"id": checkpoint}}
    return {"identity": identity, "train": {"wall_s": seconds}, "status": status}


CELLS = [cell(net, task, seed) for seed in (0, 1) for task in ("short", "long") for net in ("a", "b")]


def names(cells):
    return [f"{one.checkpoint} {one.task} {one.seed}" for one in cells]


def test_without_earlier_runs_it_is_the_order_of_the_suite():
    assert longest_first(CELLS, []) == CELLS


def test_the_longest_task_comes_first_within_each_seed():
    order = longest_first(CELLS, [result("short", 1.0), result("long", 9.0)])
    assert names(order)[:4] == ["a long 0", "b long 0", "a short 0", "b short 0"]
    assert [one.seed for one in order] == [0] * 4 + [1] * 4 and set(order) == set(CELLS)


def test_earlier_runs_of_the_same_checkpoint_count_more():
    earlier = [result("short", 1.0), result("long", 9.0, "a"), result("long", 20.0, "b")]
    assert names(longest_first(CELLS, earlier))[:2] == ["b long 0", "a long 0"]


def test_a_run_without_an_estimate_may_be_the_longest():
    assert names(longest_first(CELLS, [result("short", 5.0), result("long", 50.0, status="failed")]))[0] == "a short 0"
    cells = [cell("a", "short", 0), cell("a", "long", 0), cell("a", "new", 0)]
    order = longest_first(cells, [result("short", 5.0), result("long", 50.0)])
    assert names(order) == ["a long 0", "a new 0", "a short 0"]


def test_folds_come_one_after_another():
    cells = [cell("a", task, 0, fold=fold) for fold in (0, 1) for task in ("short", "long")]
    order = longest_first(cells, [result("short", 1.0), result("long", 9.0)])
    assert [(one.options["fold"], one.task) for one in order] == [(0, "long"), (0, "short"), (1, "long"), (1, "short")]


def test_a_store_that_does_not_exist_is_empty(tmp_path):
    assert stored_results(tmp_path / "absent") == []
