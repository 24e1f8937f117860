"""Checks of rows and figures of analyses."""

import io
import json
from math import isfinite

from medzoo.bench.results.record import plain


def check_rows(module, rows, most=300_000):
    """Rows are flat, finite and small; a missing value has a reason; figure and sentence work on rows from a file.

    Returns:
        the sentence.
    """
    for row in rows:
        for key, value in row.items():
            assert value is None or isinstance(value, str | bool | int) or isfinite(value), (key, value)
        assert row.get("value") is not None or row["reason"], row
    text = json.dumps(plain(rows))
    assert len(text) < most
    stored = json.loads(text)
    figure = module.plot(stored)
    for form in ("png", "svg"):
        file = io.BytesIO()
        figure.savefig(file, format=form)
        assert 1000 < len(file.getvalue()) < 1_500_000
    sentence = module.sentence(stored)
    assert sentence.endswith(".") and "nan" not in sentence.split()
    return sentence
