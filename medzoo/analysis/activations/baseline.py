"""The similarity of two random networks, kept on the disk: all comparisons of an architecture on the same images share it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from medzoo import paths, store
from medzoo.analysis.activations.measured import LayerMeasure

VERSION = 2  # increased when a measure, the key or the activations change

Baseline = list[dict[str, LayerMeasure]]  # of each pair of layers, by measure


def kept_baseline(key: Mapping[str, Any], make: Callable[[], Baseline]) -> Baseline:
    """The baseline of a key from the cache, or made now and kept.

    Args:
        key: what decides the numbers, apart from rounding: both networks with their input convention, images, layers, options.
        make: computes it.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as os.environ["MEDZOO_HOME"]:
    ...     first = kept_baseline({"a": 1}, lambda: [{"mean_cca": LayerMeasure(0.5)}])
    ...     again = kept_baseline({"a": 1}, lambda: [])
    >>> first == again
    True
    """
    file = paths.home() / "features" / f"baseline-{store.sha256_of({**key, 'version': VERSION})}.json"
    if file.is_file():
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            return [{name: LayerMeasure(**one) for name, one in layer.items()} for layer in kept]
        except (ValueError, TypeError, AttributeError, OSError):  # not what was written: make it again
            file.unlink(missing_ok=True)
    made = make()
    store.write_json(file, [{name: asdict(one) for name, one in layer.items()} for layer in made])
    return made
