"""Intervals and comparisons in a table: computed from the stored predictions, and only where these give the numbers."""

import json

import numpy as np
import pytest
from expect import raises

from medzoo.bench import metrics, stats
from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.statistics.hypothesis_tests import holm, nadeau_bengio
from medzoo.bench.table.table import table
from medzoo.errors import UsageError

IMAGES, PATIENTS = 160, 80
CLASSES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "multilabel": ("a", "b", "c"), "regression": ()}
METRIC = {"binary": "auroc", "multiclass": "auroc", "multilabel": "auroc", "regression": "mae"}


@pytest.fixture
def put(tmp_path, make_run):
    """Store a run whose numbers are those of its predictions."""
    store = ResultStore(tmp_path / "results")

    def one(
        checkpoint="resnet18-imagenet", seed=0, quality=1.0, kind="binary", samples="", metric=None, split=0, **identity
    ):
        fixed = np.random.default_rng(split)
        labels, shown = labels_of(kind, fixed), fixed.normal(size=(IMAGES, 3))
        noise = np.random.default_rng([sum(checkpoint.encode()), seed, identity.get("draw", 0) or 0])
        scores = scores_of(kind, labels, quality, shown + 0.4 * noise.normal(size=(IMAGES, 3)))
        ids = [f"{samples}image{i}" for i in range(IMAGES)]
        groups = [f"{samples}patient{i // 2}" for i in range(IMAGES)]
        names, chosen = CLASSES[kind], metric or METRIC[kind]
        predictions = results.predictions(names, kind, ids, groups, labels, scores)
        part = {} if identity.get("draw") is None else {"training_part": {"per_class": 5, "draw": identity["draw"]}}
        identity.pop("draw", None)
        result, _ = make_run(checkpoint=checkpoint, seed=seed, draw=0, **identity)
        made = results.make_result(
            {**result["identity"], **part}, status="ok", metric=chosen, selection={}, environment=result["environment"],
            metrics=metrics.compute(kind, names, labels, scores, groups), predictions=predictions,
            train={"folds": {"count": 5, "sha256": "0" * 64}} if identity.get("fold") is not None else
            {"draws": {"sha256": "0" * 64}} if part else {},
        )  # fmt: skip
        path = store.put(made, predictions)
        return path, labels, scores, groups

    one.store = store
    return one


def labels_of(kind, rng):
    if kind == "multilabel":
        return np.where(rng.random((IMAGES, 3)) < 0.1, np.nan, rng.integers(0, 2, (IMAGES, 3)))
    return rng.normal(size=IMAGES) if kind == "regression" else rng.integers(0, len(CLASSES[kind]), IMAGES)


def scores_of(kind, labels, quality, noise):
    if kind == "regression":
        return labels + noise[:, 0] / (1 + quality)
    if kind == "multiclass":
        raw = np.exp(quality * np.eye(3)[labels] + noise)
        return raw / raw.sum(axis=1, keepdims=True)
    truth = np.nan_to_num(labels) if kind == "multilabel" else labels
    raw = quality * truth + (noise if kind == "multilabel" else noise[:, 0])
    return 1 / (1 + np.exp(-raw))


def cells(made):
    """The cells by the labels of their row and column."""
    titles = [column.title for column in made.columns]
    return {
        (row.label, title): cell
        for row, of in zip(made.rows, made.grid, strict=True)
        for title, cell in zip(titles, of, strict=True)
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_the_interval_is_that_of_the_predictions(put, kind):
    runs = [put(seed=seed, kind=kind) for seed in range(3)]
    ((cell,),) = table(put.store.root).grid
    _, labels, _, groups = runs[0]
    expected = stats.interval(labels, np.stack([scores for _, _, scores, _ in runs]), groups, metric=METRIC[kind])
    found = cell.interval
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high), abs=1e-9)
    assert cell.mean == pytest.approx(found.mean, abs=1e-9)
    assert "[" in cell.worded(3) and "±" not in cell.worded(3)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_reliability_is_that_of_all_runs(put, kind):
    runs = [put(seed=seed, kind=kind) for seed in range(2)]
    found = table(put.store.root).grid[0][0].statistics.reliability
    if kind == "regression":
        assert found == ()
        return
    labels, scores = (np.concatenate(parts) for parts in zip(*[run[1:3] for run in runs], strict=True))
    if kind == "multiclass":
        labels, scores = (scores.argmax(axis=1) == labels).astype(int), scores.max(axis=1)
    known = ~np.isnan(labels)
    means, shares, _ = metrics.reliability(labels[known].astype(int), scores[known], 10)
    assert found == pytest.approx(np.stack([means, shares], axis=1))


def test_too_few_cases_have_no_reliability(put, monkeypatch):
    monkeypatch.setattr("medzoo.bench.table.uncertainty.reliability.LEAST", 1 + IMAGES // 2)
    put()
    assert table(put.store.root).grid[0][0].statistics.reliability == ()


def test_a_metric_without_closed_form_has_an_interval(put):
    for seed in range(3):
        put(seed=seed)
    ((cell,),) = table(put.store.root, metric="auprc").grid
    assert cell.interval.low < cell.mean < cell.interval.high


def test_the_control_gives_differences_with_one_family(put):
    for seed in range(3):
        for task in ("phantom_chest", "phantom_ct"):
            put("resnet18-random", seed, 0.2, task=task)
            put("resnet18-imagenet", seed, 2.5, task=task)
            put("resnet18-inat2021", seed, 0.2, task=task)
    made = table(put.store.root, control="resnet18-random")
    found = cells(made)
    assert found["resnet18-imagenet", "phantom_chest"].worded(3).endswith("▲")
    assert found["resnet18-random", "phantom_ct"].statistics.difference is None
    compared = [cell.statistics for cell in found.values() if cell.statistics.difference is not None]
    assert len(compared) == 4 and {one.contrast.family for one in compared} == {4}
    assert [one.p_adjusted for one in compared] == pytest.approx(holm([one.difference.p for one in compared]))
    assert found["resnet18-imagenet", "phantom_ct"].statistics.ranks == (1, 1)
    assert found["resnet18-inat2021", "phantom_ct"].statistics.ranks == (2, 3)
    for text in (made.to_text(), made.to_markdown()):
        assert "better" in text and "undecided" in text and "power 80" in text and "too few to rank" in text
    assert made.to_html().count("▲") >= 2


def test_rows_have_controls_of_their_own_in_one_family(put):
    for seed in range(3):
        put("resnet18-random", seed, 0.2)
        put("resnet18-imagenet", seed, 2.5)
        put("vit_small-random", seed, 2.4)
        put("vit_small-imagenet", seed, 0.3)
    own = {"vit_small-random": ["vit_small-random"], "vit_small-imagenet": ["vit_small-random", "resnet18-random"]}
    made = table(put.store.root, control="resnet18-random", controls=own)
    found = {label: cell.statistics.contrasts for (label, _), cell in cells(made).items()}
    assert {label: [one.control for one in contrasts] for label, contrasts in found.items()} == {
        "resnet18-random": [],
        "vit_small-random": [],
        "resnet18-imagenet": ["resnet18-random"],
        "vit_small-imagenet": ["vit_small-random", "resnet18-random"],
    }
    every = [one for contrasts in found.values() for one in contrasts]
    assert {one.family for one in every} == {3}
    assert [one.p_adjusted for one in every] == pytest.approx(holm([one.difference.p for one in every]))
    # the mark is that of the first control
    marked = cells(made)["vit_small-imagenet", "phantom_chest"]
    assert marked.worded(3).rstrip(" ~").endswith("▼") and every[-1].difference.delta > every[-2].difference.delta
    for text in (made.to_text(), made.to_markdown(), made.to_latex()):
        assert "compared with" in text
    assert "1 row with vit_small-random" in made.to_text()
    frame = made.to_frame("cells").set_index("checkpoint")
    assert frame.control["vit_small-imagenet"] == "vit_small-random"


def test_controls_that_are_no_rows_are_refused(put):
    put()
    with raises(UsageError, "control-not-a-row"):
        table(put.store.root, controls={"resnet18-imagenet": ["resnet18-absent"]})


def test_random_weights_of_the_same_architecture_are_the_floor(put):
    for seed in range(3):
        put("resnet18-random", seed, 2.5, checkpoint__init="random")
        put("vit_small-random", seed, 0.5, checkpoint__init="random", checkpoint__arch="vit_small_patch16_224")
        put("vit_small-imagenet", seed, 1.5, checkpoint__arch="vit_small_patch16_224")
        put("swin_tiny-imagenet", seed, 1.5, checkpoint__arch="swin_tiny_patch4_window7_224")
    found = {label: cell.statistics.within_noise for (label, _), cell in cells(table(put.store.root)).items()}
    # of Swin there are no random weights, so those of every architecture count
    assert not found["vit_small-imagenet"] and found["swin_tiny-imagenet"]


def test_a_difference_that_all_patients_share_is_ranked(put, monkeypatch):
    """Its p-value is exactly 0."""
    monkeypatch.setitem(globals(), "labels_of", lambda kind, rng: np.arange(float(IMAGES)))
    monkeypatch.setitem(globals(), "scores_of", lambda kind, labels, quality, noise: labels + quality)
    for checkpoint, error in (("resnet18-random", 0.5), ("resnet18-imagenet", 0.25)):
        put(checkpoint, 0, error, kind="regression")
    found = cells(table(put.store.root))
    assert found["resnet18-imagenet", "phantom_chest"].statistics.ranks == (1, 1)
    assert found["resnet18-random", "phantom_chest"].statistics.ranks == (2, 2)


def test_worse_and_equivalent_have_marks(put):
    for seed in range(3):
        put("resnet18-imagenet", seed, 2.0)
        put("resnet18-random", seed, 0.0)
        put("resnet18-inat2021", seed, 2.0)
    made = table(put.store.root, control="resnet18-imagenet", margin=0.1)
    found = {label: cell.statistics.difference for (label, _), cell in cells(made).items()}
    assert found["resnet18-random"].verdict == "worse"
    assert found["resnet18-inat2021"].verdict == "equivalent"


def test_a_value_that_permuted_labels_reach_is_marked(put):
    put("resnet18-random", 0, 0.0)
    put("resnet18-imagenet", 0, 3.0)
    found = cells(table(put.store.root))
    assert found["resnet18-random", "phantom_chest"].worded(3).endswith("~")
    assert not found["resnet18-imagenet", "phantom_chest"].worded(3).endswith("~")


def test_a_value_that_random_weights_reach_is_marked(put):
    for seed in range(3):
        put("resnet18-random", seed, quality=1.0)
        put("resnet18-better", seed, quality=2.5)
        put("resnet18-worse", seed, quality=0.8)
    made = table(put.store.root)
    found = {row.label: cells[0].statistics.within_noise for row, cells in zip(made.rows, made.grid, strict=True)}
    assert found == {"resnet18-random": False, "resnet18-better": False, "resnet18-worse": True}
    column = made.columns[0].statistics
    means = {row.label: cells[0].mean for row, cells in zip(made.rows, made.grid, strict=True)}
    assert column.random == means["resnet18-random"] > made.grid[0][0].statistics.floor
    assert "random weights reach" in made.to_text() and 'class=" noise"' in made.to_html()


def test_without_predictions_the_deviation_is_shown_and_the_reason(put):
    paths = [put(seed=seed)[0] for seed in range(2)]
    predictions_path(paths[0]).unlink()
    made = table(put.store.root)
    assert "±" in made.grid[0][0].worded(3)
    assert any("has no predictions" in note and paths[0].name in note for note in made.footnotes)


def test_predictions_that_give_another_number_have_no_interval(put):
    """A result that was edited, or predictions of another run."""
    paths = [put(seed=seed)[0] for seed in range(2)]
    result = json.loads(paths[1].read_text())
    for row in result["metrics"]:
        if row["name"] == "auroc":
            row["value"] = 0.99
    paths[1].write_text(json.dumps(result))
    made = table(put.store.root)
    assert "±" in made.grid[0][0].worded(3)
    assert any(paths[1].name in note and "0.990000" in note for note in made.footnotes)


def test_runs_on_other_images_have_no_common_interval(put):
    put(seed=0)
    put(seed=1, samples="other-")
    made = table(put.store.root)
    assert "±" in made.grid[0][0].worded(3) and any("different test images" in note for note in made.footnotes)


def test_checkpoints_on_other_images_are_not_compared(put):
    for seed in range(2):
        put("resnet18-random", seed)
        put("resnet18-imagenet", seed, 3.0, samples="other-")
    found = cells(table(put.store.root, control="resnet18-random"))
    other = found["resnet18-imagenet", "phantom_chest"].statistics
    assert other.interval is not None and other.difference is None


def test_rows_that_cannot_be_compared_or_ranked_are_named(put):
    """Without a mark and without a rank they would look undecided, and the best of the others like the best of all."""
    for seed in range(2):
        put("resnet18-random", seed)
        put("resnet18-inat2021", seed, 2.0)
        put("resnet18-imagenet", seed, 3.0, samples="other-")
        predictions_path(put("vit_small-imagenet", seed, 3.0)[0]).unlink()
    made = table(put.store.root, control="resnet18-random")
    labels = [row.label for row in made.rows]
    column = made.columns[0].statistics
    apart = {"resnet18-imagenet", "vit_small-imagenet"}
    assert {labels[place] for place in column.not_compared} == apart
    assert {labels[place] for place in column.not_ranked} == apart
    note = next(note for note in made.footnotes if note.startswith("Not compared"))
    assert all(label in note for label in apart) and "inat2021" not in note
    assert "not ranked" in made.to_text()


def test_each_checkpoint_has_its_own_noise_floor(put, monkeypatch):
    """With nine of ten images in one class, permuted labels agree with a network that always answers this class."""
    monkeypatch.setitem(globals(), "labels_of", lambda kind, rng: (np.arange(IMAGES) % 10 == 0).astype(int))
    always = {"resnet18-random": 0.5, "resnet18-imagenet": 0.1}  # half of its answers, or none, are the rare class

    def answers(kind, labels, quality, noise):
        return np.where(np.arange(IMAGES) % 2 < 2 * quality, 0.9, 0.1) if quality == 0.5 else np.full(IMAGES, 0.1)

    monkeypatch.setitem(globals(), "scores_of", answers)
    for checkpoint, quality in always.items():
        put(checkpoint, 0, quality, metric="accuracy")
    made = table(put.store.root)
    found = {label: cell.statistics for (label, _), cell in cells(made).items()}
    assert found["resnet18-imagenet"].floor == pytest.approx(0.9) and found["resnet18-imagenet"].within_noise
    assert found["resnet18-random"].floor != found["resnet18-imagenet"].floor
    assert "depending on the checkpoint" in made.to_text()


def test_a_metric_of_several_labels_that_is_a_share(put):
    for seed in range(2):
        put("resnet18-imagenet", seed, 2.0, kind="multilabel", metric="accuracy")
    ((cell,),) = table(put.store.root).grid
    assert cell.interval.low < cell.mean < cell.interval.high and cell.interval.labels == 3


def test_single_runs_say_that_other_seeds_are_not_in_their_comparison(put):
    for checkpoint, quality in (("resnet18-random", 0.2), ("resnet18-imagenet", 3.0)):
        put(checkpoint, 0, quality)
    assert any("single runs" in note for note in table(put.store.root, control="resnet18-random").footnotes)
    for checkpoint, quality in (("resnet18-random", 0.2), ("resnet18-imagenet", 3.0)):
        put(checkpoint, 1, quality)
    assert not any("single runs" in note for note in table(put.store.root, control="resnet18-random").footnotes)


def test_no_statistics_if_they_are_not_wanted(put):
    for seed in range(2):
        put(seed=seed)
    made = table(put.store.root, statistics=False)
    assert made.grid[0][0].statistics is None and "±" in made.grid[0][0].worded(3)


def test_folds_use_the_corrected_test(put):
    values = []
    for fold in range(5):
        _, labels, scores, _ = put(
            seed=0, fold=fold, split=fold, samples=f"{fold}-", dataset__split_hash=f"split{fold}"
        )
        values.append(metrics.auroc(labels, scores))
    ((cell,),) = table(put.store.root).grid
    expected = nadeau_bengio(values, 1 / 4)
    assert (cell.interval.low, cell.interval.high) == pytest.approx((expected.low, expected.high))


def test_only_common_folds_are_compared(put):
    """Another fold has other patients."""
    values = {}
    for checkpoint, absent in (("resnet18-imagenet", 1), ("resnet18-random", 4)):
        for fold in {0, 1, 2, 3, 4} - {absent}:
            _, labels, scores, _ = put(
                checkpoint, fold=fold, split=fold, samples=f"{fold}-", dataset__split_hash=f"split{fold}"
            )
            values[checkpoint, fold] = metrics.auroc(labels, scores)
    found = cells(table(put.store.root, control="resnet18-random", margin=0.5))["resnet18-imagenet", "phantom_chest"]
    differences = [values["resnet18-imagenet", fold] - values["resnet18-random", fold] for fold in (0, 2, 3)]
    expected = nadeau_bengio(differences, 1 / 4)
    compared = found.statistics.difference
    assert (compared.delta, compared.low, compared.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert compared.runs == (3, 3) and compared.verdict == "equivalent"


def test_draws_are_the_runs_of_a_few_shot_cell(put):
    for draw in range(4):
        for seed in range(2):
            put(seed=seed, draw=draw)
    ((cell,),) = table(put.store.root).grid
    assert cell.interval.runs == 4 and cell.interval.low < cell.mean < cell.interval.high


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"control": "resnet50"}, "control-not-a-row"),
        ({"margin": 0.01}, "margin-invalid"),
        ({"control": "resnet18-imagenet", "margin": 0}, "margin-invalid"),
        ({"control": "resnet18-imagenet", "margin": float("nan")}, "margin-invalid"),
    ],
)
def test_wrong_options_are_errors(put, options, code):
    put()
    with raises(UsageError, code):
        table(put.store.root, **options)


def test_the_same_results_give_the_same_page(put):
    for seed in range(2):
        put(seed=seed)
        put("resnet18-random", seed, 0.1)
    pages = [table(put.store.root, control="resnet18-random").to_html() for _ in range(2)]
    assert pages[0] == pages[1]


def test_dots_and_mean_are_over_the_same_labels(put, monkeypatch):
    def rare(kind, rng):  # the third label has positive images of 4 patients
        labels = rng.integers(0, 2, (IMAGES, 3)).astype(float)
        labels[:, 2] = np.arange(IMAGES) < 8
        return labels

    monkeypatch.setitem(globals(), "labels_of", rare)
    for seed in range(3):
        put(seed=seed, kind="multilabel")
    made = table(put.store.root)
    cell = made.grid[0][0]
    assert cell.interval.left_out == (2,) and made.columns[0].size.endswith("mean of 2 of 3 labels")
    assert cell.mean == pytest.approx(np.mean(cell.shown_values)) and cell.shown_values != cell.values
    dots = made.plot().axes[0].lines
    assert any(list(line.get_xdata()) == cell.shown_values for line in dots)
    assert f'"v":[{",".join(f"{value:.5g}" for value in cell.shown_values)}]' in made.to_html().replace(" ", "")
