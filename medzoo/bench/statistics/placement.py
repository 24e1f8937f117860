"""How much each image contributes to an AUROC: the placement values of DeLong."""

from __future__ import annotations

import numpy as np


def placements(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUROC of one run, and the influence of each image on it.

    The placement of a positive image is the share of negatives with a lower score, and that of a negative image the share of
    positives with a higher score; ties count one half. The influence is the placement minus the AUROC, over the number of
    images of its class.

    Args:
        positive: (N,) booleans, with both values.
        scores: (N,) finite numbers, higher for positives.

    Returns:
        The AUROC, and (N,) influences, whose sum is 0.

    Source: DeLong et al. 1988 (doi:10.2307/2531595); sorting instead of pairs as in Sun and Xu 2014
    (doi:10.1109/LSP.2014.2337313).

    >>> placements(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    (0.875, array([ 0.0625, -0.0625, -0.0625,  0.0625]))
    """
    order = np.argsort(scores)
    ordered, is_positive = scores[order], positive[order]

    # images with equal scores form a group; counts of each class before its end
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    sizes = np.diff(last, prepend=-1)
    until = np.cumsum(is_positive)[last].astype(np.float64)
    n_pos = until[-1]
    n_neg = len(scores) - n_pos
    negatives_until = (last + 1) - until

    # the middle of a group counts half of the images with the same score
    below = (negatives_until + np.concatenate([[0.0], negatives_until[:-1]])) / 2
    above = n_pos - (until + np.concatenate([[0.0], until[:-1]])) / 2
    placed = np.where(is_positive, np.repeat(below / n_neg, sizes), np.repeat(above / n_pos, sizes))
    auroc = float(placed[is_positive].mean())
    influence = np.empty(len(scores))
    influence[order] = (placed - auroc) / np.where(is_positive, n_pos, n_neg)
    return auroc, influence
