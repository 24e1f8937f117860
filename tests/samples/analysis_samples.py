"""Stored analyses as they are made, without an analysis."""

from medzoo.bench.analyses.record import put_analysis
from medzoo.bench.results.record import environment

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#0072b2"/></svg>'


def analysis_content(name="weights", task="phantom_oct", **changes):
    """The content of a record with two rows."""
    identity = {
        "analysis": name,
        "task": {"id": task, "version": "1", "fingerprint": "f", "split_hash": "s"},
        "subjects": ["resnet18-random", "resnet18-imagenet"],
        "options": {"filters": 36},
        "inputs": {"networks": ["a" * 64, "b" * 64], "size": 32},
    }
    return {
        "identity": identity,
        "title": name.capitalize(),
        "question": "How far did each layer move?",
        "sentence": "layer4 moved most: 0.500.",
        "rows": [{"layer": "conv1", "value": 0.25}, {"layer": "layer4", "value": 0.5}],
        "table": [{"layer": "conv1", "moved": 0.25}, {"layer": "layer4 <b>", "moved": None}],
        "environment": environment(precision="fp32"),
        **changes,
    }


def put_sample(root, **options):
    """A stored analysis with its figures."""
    return put_analysis(root, analysis_content(**options), {"svg": SVG, "png": b"\x89PNG"})
