"""The builder of upstream-like files, which lies beside the real images."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("MEDZOO_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")).parent


def builder():
    """The module that writes full-size files from manifests; skips where it is absent."""
    path = SHARED / "upstream" / "build.py"
    if not path.is_file():
        pytest.skip(f"no upstream-like files: {path} is absent")
    if "upstream_build" not in sys.modules:
        spec = importlib.util.spec_from_file_location("upstream_build", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["upstream_build"] = module
        spec.loader.exec_module(module)
    return sys.modules["upstream_build"]
