"""How many of medzoo's files a call uses: the fewer files, the easier the code is to follow.

    python benchmarks/files_entered.py [--names]

A file counts if one of its functions runs; an import does not count. The three most frequent calls: load a checkpoint from the
cache, fit a linear probe on images that were decoded before, read one image.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "medzoo"
TASK = "phantom_chest,n=24,n_validation=12,n_test=12"


def entered(call: Callable[[], object]) -> list[str]:
    """The files of the package with a function that ran in this thread.

    Args:
        call: the call to trace.
    """
    files: set[str] = set()

    def follow(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(f"{PACKAGE}{os.sep}"):
            files.add(str(Path(code.co_filename).relative_to(PACKAGE)))

    sys.setprofile(follow)
    try:
        call()
    finally:
        sys.setprofile(None)
    return sorted(files)


def calls(folder: Path) -> dict[str, Callable[[], object]]:
    """The calls by their description.

    Args:
        folder: for the checkpoint, the images and the results.
    """
    import numpy as np
    import timm
    from PIL import Image

    import medzoo
    from medzoo.bench.cell_options import CellOptions
    from medzoo.bench.run import run_cell

    checkpoint = folder / "checkpoint"
    facts = {"name": "resnet10t-example", "license": "MIT", "data": ["example"]}
    medzoo.save(timm.create_model("resnet10t", num_classes=0), checkpoint, card=facts)
    grey = np.arange(400, dtype=np.uint8).reshape(20, 20)
    Image.fromarray(grey).save(folder / "grey.png")

    seeds = count()

    def probe() -> None:
        seed = next(seeds)  # a seed without a result
        options = CellOptions(
            checkpoint=str(checkpoint), task=TASK, size=32, seed=seed, device="cpu", precision="fp32",
            out=str(folder / f"run_{seed}"), results=str(folder / "results"),
        )  # fmt: skip
        run_cell(options, "linear")

    return {
        "load a cached checkpoint": lambda: medzoo.load(str(checkpoint)),
        "probe on cached rows": probe,
        "read one PNG": lambda: medzoo.read_image(folder / "grey.png"),
    }


def main() -> None:
    """Trace each call and print the number of files that it used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", action="store_true", help="also print the file names")
    names = parser.parse_args().names
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDZOO_HOME"] = str(Path(folder) / "home")
        for name, call in calls(Path(folder)).items():
            call()  # fills the caches
            files = entered(call)
            print(f"{name}: {len(files)} files")
            if names:
                print("  " + "\n  ".join(files))


if __name__ == "__main__":
    main()
