"""The similarity of two sets of activations as one number, on arrays in memory.

`x` and `y` hold the activations of the same samples in the same order: samples x units, as numpy arrays or torch tensors. The units
of both may differ in number. Activations of convolutions, N x H x W x C, are flattened first: `x.reshape(-1, x.shape[-1])`.
Tensors on an accelerator stay there for the CCA measures and are copied to the CPU for the others.
Data that do not fit into memory: `moments.Moments`, then `cca`, `cka` and `procrustes` from covariances.
"""

from __future__ import annotations

from medzoo.analysis.similarity.cca import cca_coefficients, pwcca_from_covariances, svcca_coefficients
from medzoo.analysis.similarity.cka import Kind, cka_matrix
from medzoo.analysis.similarity.inputs import Array
from medzoo.analysis.similarity.moments import moments_of
from medzoo.analysis.similarity.neighbours import cknna, mutual_knn
from medzoo.analysis.similarity.procrustes import procrustes

__all__ = ["cka", "cknna", "mean_cca", "mutual_knn", "procrustes", "pwcca", "svcca"]


def mean_cca(x: Array, y: Array) -> float:
    """The mean of all canonical correlations: 1 if one side is an invertible linear map of the other.

    Two independent layers are not at 0: with d units each and n samples they are near sqrt(d / n). Compare with a permutation.

    Args:
        x: samples x units; more samples than units.
        y: the same samples x other units.

    Raises:
        UsageError: for a wrong shape, other rows, too few samples, NaN or Inf, or constant activations.
        MissingExtraError: without scipy.

    Source: Raghu et al. 2017, https://arxiv.org/abs/1706.05806.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(mean_cca(x, x @ [[1, 2, 0], [0, 1, 0], [3, 0, 1]]), 6)
    1.0
    """
    moments = moments_of(x, y)
    return float(cca_coefficients(*moments.covariances(), moments.n).mean())


def svcca(x: Array, y: Array, *, variance: float = 0.99, components: int | None = None) -> float:
    """Mean CCA of the principal components of each side that hold most of its variance.

    Args:
        x: samples x units; more samples than units, unless `components` is given.
        y: the same samples x other units.
        variance: keep the fewest components with at least this share of the variance of their side.
        components: keep this many components of each side instead.

    Raises:
        UsageError: as for `mean_cca`, and for an option outside its limits.
        MissingExtraError: without scipy.

    Source: Raghu et al. 2017, https://arxiv.org/abs/1706.05806.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 3)) * [10, 1, 0.01]
    >>> round(svcca(x, x[:, :2]), 6)
    1.0
    """
    moments = moments_of(x, y)
    covariances = moments.covariances()
    return float(svcca_coefficients(*covariances, moments.n, variance=variance, components=components).mean())


def pwcca(x: Array, y: Array) -> float:
    """CCA weighted by how much of the smaller side each canonical variate explains; not symmetric.

    The side with fewer units gives the weights; with equally many, x does. Constant units do not count.

    Args:
        x: samples x units; more samples than units.
        y: the same samples x other units.

    Raises:
        UsageError: as for `mean_cca`.
        MissingExtraError: without scipy.

    Source: Morcos, Raghu, Bengio 2018, https://arxiv.org/abs/1806.05759.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(pwcca(x, x + 5), 6)
    1.0
    """
    moments = moments_of(x, y)
    return pwcca_from_covariances(*moments.covariances(), moments.n)


def cka(x: Array, y: Array, *, kind: Kind = "linear", threshold: float = 1.0, batch_size: int = 256) -> float:
    """Centred kernel alignment.

    The biased CKA is too large for few samples with many units: report `kind="debiased"` there.

    Args:
        x: samples x units.
        y: the same samples x other units.
        kind: linear, debiased, rbf, rbf_nonzero_median or minibatch, as `cka.cka_matrix` defines them.
        threshold: factor of the bandwidth of `rbf`.
        batch_size: samples in a batch of `minibatch`.

    Raises:
        UsageError: as for `cka.cka_matrix`.

    Source: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414; Nguyen et al. 2020, https://arxiv.org/abs/2010.15327.

    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(2, 20, 500))
    >>> round(cka(x, y), 1), abs(cka(x, y, kind="debiased")) < 0.1
    (1.0, True)
    """
    return float(cka_matrix([x], [y], kind=kind, threshold=threshold, batch_size=batch_size)[0, 0])
