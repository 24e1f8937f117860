"""Nearest neighbours against scikit-learn and DINO's loop."""

import numpy as np
import pytest
import torch
from expect import raises
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes.knn import neighbours, vote


def data(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return (rng.normal(size=(count, 8)) + 1.5 * np.eye(3, 8)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("block", [1, 700, 10**6])
def test_neighbours_are_scikit_learns_in_blocks_of_any_size(cosine, block):
    train, queries = data(300, 0)[0], data(40, 1)[0]
    found = torch.cat([indices for _, indices in neighbours(train, queries, 7, cosine=cosine, block=block)])
    oracle = NearestNeighbors(n_neighbors=7, metric="cosine" if cosine else "euclidean", algorithm="brute").fit(train)
    assert (found.numpy() == oracle.kneighbors(queries)[1]).all()


def test_the_plain_vote_is_scikit_learns():
    (train, labels), queries = data(300, 0), data(60, 1)[0] + np.float32(1000)
    found = vote(
        train + np.float32(1000), labels, queries, kind="multiclass", classes=3, counts=[1, 5, 20], cosine=False,
        temperature=None,
    )  # fmt: skip
    for count, chances in found.items():
        oracle = KNeighborsClassifier(count, algorithm="brute").fit(train.astype(float) + 1000, labels)
        assert np.abs(chances.numpy() - oracle.predict_proba(queries.astype(float))).max() < 1e-12


def test_the_weighted_vote_is_dinos():
    (train, labels), queries = data(200, 0), data(30, 1)[0]
    found = vote(train, labels, queries, kind="multiclass", classes=3, counts=[10, 20], temperature=0.07)
    a, b = (torch.nn.functional.normalize(torch.from_numpy(x).double(), dim=1) for x in (train, queries))
    for count, chances in found.items():
        distances, indices = (b @ a.T).topk(count, largest=True, sorted=True)
        votes = torch.zeros(30, 3, dtype=torch.float64)
        for row in range(30):
            for similarity, index in zip(distances[row], indices[row], strict=True):
                votes[row, labels[index]] += (similarity / 0.07).exp()
        assert torch.allclose(chances, votes / votes.sum(1, keepdim=True), atol=1e-5)


def test_labels_of_neighbours_are_averaged_over_what_is_known():
    train = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]], np.float32)
    labels = np.array([[1, np.nan, np.nan], [0, 1, np.nan], [1, 0, np.nan], [0, 0, 1]])
    ask = {"kind": "multilabel", "classes": 3, "counts": [1, 3], "temperature": None}
    found = vote(train, labels, np.array([[1.0, -0.1]], np.float32), **ask)
    assert found[1].tolist() == [[1.0, 0.5, 0.5]]
    assert torch.allclose(found[3], torch.tensor([[2 / 3, 0.5, 0.5]]).double())


def test_huge_and_zero_vectors_and_refusals():
    train, labels = data(20, 0)
    odd = np.stack([train[0] * 0, train[0] * np.float32(1e15)])
    assert bool(torch.isfinite(vote(train, labels, odd, kind="multiclass", classes=3, counts=[20])[20]).all())
    ask = {"kind": "multiclass", "classes": 3}
    for counts in ([0], [21], []):
        with raises(UsageError, "neighbours-outside"):
            vote(train, labels, train, counts=counts, **ask)
    with raises(UsageError, "neighbours-temperature"):
        vote(train, labels, train, counts=[1], cosine=False, **ask)
    with raises(UsageError, "probe-features-shape"):
        vote(train, labels, train[:, 1:], counts=[1], **ask)
    with raises(DataContractError, "features-not-finite"):
        vote(train * np.float32(np.nan), labels, train, counts=[1], **ask)
