"""Representation similarity: how much the layers of two networks represent the same, with two references for each number.

The measures on arrays are here too: `mean_cca(x, y)`, `svcca`, `pwcca`, `cka`, `procrustes`, `mutual_knn`, `cknna`.

Sources: Juodelyte et al. 2023, https://arxiv.org/abs/2302.08272 (mean CCA of the five layers of ResNet-50 before and after
fine-tuning); Raghu et al. 2017, https://arxiv.org/abs/1706.05806; Morcos et al. 2018, https://arxiv.org/abs/1806.05759; Kornblith
et al. 2019, https://arxiv.org/abs/1905.00414; Huh et al. 2024, https://arxiv.org/abs/2405.07987.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from medzoo.analysis.activations.layer_rows import juodelyte_rows, rows_of_layers
from medzoo.analysis.activations.layers import layer_pairs
from medzoo.analysis.similarity.measures import cka, cknna, mean_cca, mutual_knn, procrustes, pwcca, svcca
from medzoo.errors import listed
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

__all__ = [
    "QUESTION",
    "TITLE",
    "USES",
    "Options",
    "cka",
    "cknna",
    "mean_cca",
    "mutual_knn",
    "plot",
    "procrustes",
    "pwcca",
    "run",
    "sentence",
    "svcca",
    "table",
]

TITLE = "Representation similarity"
QUESTION = "How similar are the layers of both networks, and in which layers do they differ?"
USES = ("networks", "images")
SHORT = {
    "mean_cca": "mean CCA",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "cka_linear": "linear CKA",
    "procrustes": "Procrustes",
    "cka_debiased": "debiased CKA",
    "cka_rbf": "RBF CKA",
    "cka_minibatch": "minibatch CKA",
    "mutual_knn": "mutual kNN",
    "cknna": "CKNNA",
}


@dataclass(frozen=True)
class Options:
    """Options of the representation analysis."""

    layers: list[str] | None = option(  # noqa: RUF009 - not a call that makes a list
        "names of layers; NAME=OTHER where the second network has other names",
        metavar="NAME",
        shown="five over the depth",
    )
    setting: Literal["medzoo", "juodelyte2023"] = option(
        "juodelyte2023: mean CCA of 64 random channels at about 10,000 positions, mean of 5 draws, as in that study",
        "medzoo",
    )
    activations: Literal["positions", "pooled"] = option(
        "what a sample is for CCA, linear CKA and Procrustes: a position of an image, or the mean of an image",
        "positions",
    )
    samples: int = option("positions of each layer, over all images", 10_000, metavar="N", least=2, most=10_000_000)
    null_draws: int = option(
        "permutations of the images, whose mean is the null; of the other CKA and neighbours at least 5",
        1,
        metavar="N",
        least=1,
        most=1000,
    )
    kernel_images: int = option(
        "images for the measures that compare all pairs of images (other CKA, neighbours)",
        2000,
        metavar="N",
        least=8,
        most=20_000,
    )


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The measures of each pair of layers, with two references: random networks (baseline) and wrong pairs of images (null).

    Args:
        inputs: two networks and images.
        options: see Options.

    Returns:
        One row for each pair of layers and measure: measure, layer, other_layer, value, null, baseline, sd (over draws of the
        setting), samples, images, units, other_units, paired (False for layers of different depth), reason (why value is None).

    Raises:
        UsageError: for an option outside its limits, layers that do not pair, or NaN in activations.
        UnknownNameError: for a layer that does not exist, with the nearest names.
        NotApplicableError: for fewer than two images, or if no measure is defined for any layer.
    """
    check_values(options)
    first, second = inputs.networks
    pairs = layer_pairs(first.module, second.module, options.layers)
    if options.setting == "juodelyte2023":
        return juodelyte_rows(inputs, pairs, null_draws=options.null_draws)
    return rows_of_layers(
        inputs,
        pairs,
        samples=options.samples,
        pooled=options.activations == "pooled",
        null_draws=options.null_draws,
        kernel_images=options.kernel_images,
    )


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each pair of layers and measure.

    Args:
        rows: of `run`.
    """
    return [
        {
            "layer": _layer(row),
            "measure": SHORT[row["measure"]],
            "value": row["value"],
            "random networks": row["baseline"],
            "wrong pairs of images": row["null"],
            "samples": row["samples"],
            "units": f"{row['units']:,} and {row['other_units']:,}",
            "note": row["reason"] or (f"sd over draws {row['sd']:.3f}" if row["sd"] is not None else ""),
        }
        for row in rows
        if row["paired"]
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """Where the layers are alike and where not, by the first measure that all layers have.

    Args:
        rows: of `run`.
    """
    paired = [row for row in rows if row["paired"]]
    layers = list(dict.fromkeys(_layer(row) for row in paired))
    for measure in ("cka_debiased", "mean_cca", *SHORT):
        shown = [row for row in paired if row["measure"] == measure and row["value"] is not None]
        if shown and (len(shown) == len(layers) or measure == list(SHORT)[-1]):
            break
    if not shown:
        return "No measure is defined for these layers."
    most, least = max(shown, key=lambda row: row["value"]), min(shown, key=lambda row: row["value"])
    above = sum(row["baseline"] is not None and row["value"] > row["baseline"] for row in shown)
    text = f"By {SHORT[measure]}, {_layer(most)} is the most similar layer ({most['value']:.2f}{_references(most)})"
    if least is not most:
        text += f" and {_layer(least)} the least ({least['value']:.2f}{_references(least)})"
    text += f"; {above} of {len(shown)} layers are more similar than those of two random networks."
    undefined = [f"{SHORT[row['measure']]} of {_layer(row)}" for row in paired if row["value"] is None]
    return f"{text} Undefined: {listed(undefined)}." if undefined else text


def plot(rows: list[dict[str, Any]]) -> Figure:
    """A panel for each group of measures over the layers, and debiased CKA of all pairs of layers.

    Args:
        rows: of `run`.
    """
    from medzoo.analysis.activations.draw_layers import draw_layers

    return draw_layers(rows, SHORT)


def _layer(row: dict[str, Any]) -> str:
    return row["layer"] if row["layer"] == row["other_layer"] else f"{row['layer']} = {row['other_layer']}"


def _references(row: dict[str, Any]) -> str:
    """The two references of a value, as far as they are there."""
    parts = [
        f"{name} {row[key]:.2f}"
        for key, name in (("baseline", "random networks"), ("null", "wrong pairs"))
        if row[key] is not None
    ]
    return f"; {', '.join(parts)}" if parts else ""
