"""The probes that read tokens or layers: selection on validation, the same numbers for a seed, and what they learn."""

import numpy as np
import pytest
import torch
from expect import raises
from tiny import masked_rows

from medzoo.bench.metrics.probabilities import auroc
from medzoo.errors import DataContractError, DivergedError, UsageError
from medzoo.training.probes.dense import drawn_pixels, pixel_shares
from medzoo.training.segmentation.counts import dice_of, pixel_counts
from medzoo.training.segmentation.masks import classes_of
from medzoo.training.tokens.attentive_probe import fit_attentive_probe
from medzoo.training.tokens.dense_probe import fit_dense_probe, square_grid, training_pixels, training_tokens
from medzoo.training.tokens.head_grid_probe import fit_head_grid_probe
from medzoo.training.tokens.token_file import TokenRows


def accuracy(labels, probabilities):
    return float((probabilities.argmax(1) == labels).mean())


def token_split(count, seed):
    """Tokens of which one shows the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    tokens = rng.normal(size=(count, 9, 16)).astype(np.float16)
    tokens[np.arange(count), rng.integers(0, 9, count), labels] += 6
    return TokenRows(tokens, False, False), labels


ASK = {
    "kind": "multiclass", "classes": 3, "learning_rates": [1e-6, 1e-2], "weight_decays": [0.0, 1e-3], "steps": 120,
    "batch_size": 32, "queries": 4,
}  # fmt: skip


def test_the_attentive_probe_learns_and_its_seed_decides_its_numbers():
    train, validation, test = token_split(300, 0), token_split(100, 1), token_split(200, 2)
    fit = [fit_attentive_probe(train, validation, seed=seed, score=accuracy, **ASK) for seed in (0, 0, 1)]
    assert fit[0].candidates == 4 and fit[0].setting["learning_rate"] == 1e-2
    assert fit[0].score == accuracy(validation[1], fit[0].predict(validation[0])) > 0.9
    assert accuracy(test[1], fit[0].predict(test[0])) > 0.9
    outputs = [probe.predict(test[0]) for probe in fit]
    assert np.array_equal(outputs[0], outputs[1]) and not np.array_equal(outputs[0], outputs[2])
    assert np.allclose(outputs[0].sum(1), 1, atol=1e-5)


def test_validation_selects_and_the_first_of_equals_is_kept():
    train, validation = token_split(60, 0), token_split(20, 1)
    scores = iter([0.1, 0.7, 0.7, 0.2])
    asked = {**ASK, "steps": 3}
    probe = fit_attentive_probe(train, validation, seed=0, score=lambda *_: next(scores), **asked)
    assert probe.setting == {"learning_rate": 1e-6, "weight_decay": 1e-3} and probe.score == 0.7


def test_heads_that_all_diverge_are_said():
    split = token_split(60, 0)
    with raises(DivergedError, "attentive-probe-diverged"):
        fit_attentive_probe(
            split,
            split,
            seed=0,
            score=accuracy,
            **{**ASK, "learning_rates": [1e38], "weight_decays": [0.0], "steps": 9},
        )


def test_the_grid_of_heads_selects_input_and_rate():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 240)
    rows = rng.normal(size=(240, 10)).astype(np.float32)
    rows[:, 7] += 3 * labels
    inputs = [("1 layer", slice(0, 5)), ("2 layers", slice(0, 10))]
    asked = {
        "inputs": inputs, "kind": "binary", "classes": 2, "learning_rates": [1e-5, 0.1], "steps": 200, "batch_size": 64,
        "score": accuracy,
    }  # fmt: skip
    halves = (rows[:120], labels[:120]), (rows[120:], labels[120:])
    probe = fit_head_grid_probe(*halves, seed=0, **asked)
    assert probe.setting == {"learning_rate": 0.1, "input": "2 layers"} and probe.candidates == 4 and probe.score > 0.85
    assert np.array_equal(probe.predict(rows), fit_head_grid_probe(*halves, seed=0, **asked).predict(rows))


def test_the_rates_of_the_grid_belong_to_a_batch_of_256(monkeypatch):
    from medzoo.training.tokens import head_grid_probe

    seen = []
    original = head_grid_probe.fit_head_grid
    monkeypatch.setattr(
        head_grid_probe, "fit_head_grid", lambda *a, **k: (seen.append(k["learning_rates"]), original(*a, **k))[1]
    )
    rows, labels = np.ones((300, 3), np.float32), np.arange(300) % 2
    for batch in (128, 512):  # more than there are images: a batch of all images
        fit_head_grid_probe(
            (rows, labels), (rows, labels), inputs=[("1 layer", slice(0, 3))], kind="binary", classes=2,
            learning_rates=[0.1], steps=1, batch_size=batch, seed=0, score=lambda *_: 0.0,
        )  # fmt: skip
    assert seen == [[pytest.approx(0.05)], [pytest.approx(0.1 * 300 / 256)]]


def patch_means(data, grid=8):
    """Brightness of every patch as tokens of width 2."""
    images = torch.from_numpy(np.asarray(data.images[:])).float()[:, None] / 255
    means = torch.nn.functional.adaptive_avg_pool2d(images, grid).flatten(2).transpose(1, 2)
    return TokenRows(torch.cat([means, means.square()], 2).numpy().astype(np.float16), False, False)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_the_dense_probe_finds_what_patches_show(classes, method):
    data = masked_rows(40, classes)
    rows = patch_means(data)
    values = [1e-6, 100.0] if method == "logistic" else [1, 5, 10**6]
    probe = fit_dense_probe(
        (rows, data), (rows, data), classes=["a", "b"][:classes], method=method, values=values, samples=1500, seed=0,
        read=patch_means,
    )  # fmt: skip
    assert probe.candidates == 2 and probe.probe.rows == 1500 and probe.score > 0.5
    assert set(probe.setting) == {"regularisation" if method == "logistic" else "neighbours"}
    structures = [(number,) for number in range(1, classes + 1)]
    counts = np.concatenate(
        [pixel_counts(classes_of(part.logits), part.masks, structures) for part in probe.segment(data)]
    )
    assert dice_of(counts).mean() == pytest.approx(probe.score)
    again = fit_dense_probe(
        (rows, data), (rows, data), classes=["a", "b"][:classes], method=method, values=values, samples=1500, seed=0,
        read=patch_means,
    )  # fmt: skip
    same = zip(probe.segment(data), again.segment(data), strict=True)
    assert all(torch.equal(one.logits, other.logits) for one, other in same)


def test_training_pixels_have_the_label_of_the_pixel():
    data = masked_rows(40, 2)  # more than are read together
    data.masks[:, :8] = 255
    rows = patch_means(data)
    kept, labels = training_pixels(rows, data, (8, 8), 4000, seed=3)
    assert kept.shape == (4000, 2) and set(labels.unique().tolist()) == {0, 1, 2}
    enlarged = torch.nn.functional.interpolate(
        rows[slice(0, 40)].transpose(1, 2).unflatten(2, (8, 8)), (16, 16), mode="bilinear", align_corners=False
    )
    drawn = list(drawn_pixels(data.masks, 0, pixel_shares(40, 4000, seed=3), seed=3, ignored=255))
    places = np.concatenate([number * 256 + part for number, part in enumerate(drawn)])
    assert np.array_equal(labels.numpy(), np.asarray(data.masks).ravel()[places])
    assert torch.allclose(kept, enlarged.permute(0, 2, 3, 1).reshape(-1, 2)[places], atol=1e-6)
    with raises(UsageError, "tokens-not-square"):
        square_grid(12)


def test_training_tokens_have_the_shares_of_their_patch():
    data = masked_rows(40, 2)
    data.masks[:, :8] = 255
    named = np.stack(np.meshgrid(np.arange(40), np.arange(64), indexing="ij"), 2)  # tokens that say where they are
    rows = TokenRows(named.astype(np.float16), False, False)
    kept, shares = training_tokens(rows, data, (8, 8), 3, 800, seed=3)
    image, place = kept.long().numpy().T
    assert (
        np.bincount(image).tolist() == [20] * 40
        and place.min() >= 32
        and len(set(zip(image, place, strict=True))) == 800
    )
    patches = np.asarray(data.masks).reshape(40, 8, 2, 8, 2).swapaxes(2, 3).reshape(40, 64, 4)
    found = [np.bincount(patch, minlength=3) / 4 for patch in patches[image, place]]
    assert np.allclose(shares.numpy(), found)


def lines(count, seed, patch=8, side=64):
    """Images of dark tissue with a bright line of two pixels, a quarter of a patch, and tokens that show where it is."""
    data = masked_rows(count, side=side)
    data.masks[:] = 0
    rng = np.random.default_rng(seed)
    grid = side // patch
    tokens = rng.normal(0, 0.05, (count, grid, grid, 6)).astype(np.float32)
    tokens[..., 5] += 1  # so that directions tell tokens apart
    centres = (np.arange(grid) + 0.5) * patch
    for image in range(count):
        top = int(rng.integers(patch, side - patch))
        data.masks[image, top : top + 2] = 1
        # the distance to the line, in a form whose interpolation has its maximum there
        tokens[image, ..., 0] += np.exp(-(((centres - top - 1) / patch) ** 2))[:, None]
        tokens[image, ..., 1] += np.abs(centres - top - 1)[:, None] / side
    return data, TokenRows(tokens.reshape(count, -1, 6).astype(np.float16), False, False)


@pytest.mark.parametrize(("method", "least"), [("logistic", 0.95), ("knn", 0.9)])
def test_structures_that_are_thinner_than_half_a_patch_are_found(method, least, recwarn):
    (data, rows), (others, tokens) = lines(40, 0), lines(20, 1)
    values = [1e-2, 1.0, 100.0] if method == "logistic" else [1, 30]
    probe = fit_dense_probe(
        (rows, data), (tokens, others), classes=["line"], method=method, values=values, samples=8000, seed=0,
        read=lambda _: tokens,
    )  # fmt: skip
    parts = list(probe.segment(others))
    scores, truth = torch.cat([part.logits[:, 0] for part in parts]), torch.cat([part.masks for part in parts])
    areas = [auroc(mask.flatten().numpy(), score.flatten().numpy()) for mask, score in zip(truth, scores, strict=True)]
    assert scores.shape[1:] == (64, 64) and np.mean(areas) > least
    assert any("at least half line" in str(warning.message) for warning in recwarn)


def test_classes_without_pixels_are_said(recwarn):
    data = masked_rows(6, 2)
    rows = patch_means(data)

    def fit(classes):
        ask = {"classes": classes, "method": "knn", "values": [1], "samples": 99, "seed": 0, "read": patch_means}
        return fit_dense_probe((rows, data), (rows, data), **ask)

    fit(["a", "b", "c"])
    assert any("shows c" in str(warning.message) for warning in recwarn)
    assert not any("at least half" in str(warning.message) for warning in recwarn)
    data.masks[:] = 0
    with raises(DataContractError, "samples-without-classes"):
        fit(["a", "b"])


def test_neighbours_that_do_not_exist_are_refused():
    data = masked_rows(4)
    rows = patch_means(data)
    with raises(UsageError, "neighbours-not-usable"):
        fit_dense_probe(
            (rows, data), (rows, data), classes=["a"], method="knn", values=[300], samples=20, seed=0, read=patch_means
        )
