"""How long loading takes: medzoo.load with verification, timm's pretrained=True, and torch.load + load_state_dict.

    python benchmarks/load.py                                  three networks, a few minutes on two cores
    python benchmarks/load.py --architectures resnet50 --runs 3
    python benchmarks/load.py --out benchmarks/results/load.md

All three read the same weights from the local disk, in turns, with one thread. "warm" repeats the call in one process, "fresh" is
the first call of a process that has imported its libraries, "first" is the same without a receipt, so that medzoo hashes. The
value is the median CPU time of the process; on a shared machine only the ratios are reliable.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARCHITECTURES = ("resnet50", "vit_base_patch16_224", "swin_tiny_patch4_window7_224")
WAYS = ("medzoo", "timm", "torch")
TARGETS = {  # of medzoo's CPU time over timm's
    ("resnet50", "warm"): 0.35, ("vit_base_patch16_224", "warm"): 0.20, ("swin_tiny_patch4_window7_224", "warm"): 1.0,
}  # fmt: skip


def prepare(architecture: str, folder: Path) -> None:
    """The same random weights as medzoo's folder and as a torch file."""
    import timm
    import torch

    import medzoo

    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=0)
    card = {"name": f"{architecture}-drawn", "license": "apache-2.0", "data": ["nothing"]}
    medzoo.save(model, folder / "folder", card=card)
    torch.save(model.state_dict(), folder / "weights.pth")


def loader(way: str, architecture: str, folder: Path):
    """A function that loads once."""
    import timm
    import torch

    if way == "medzoo":
        import medzoo
        import medzoo.zoo.download.fetch
        import medzoo.zoo.loading.assemble

        load = medzoo.load
        return lambda: load(str(folder / "folder"))
    if way == "timm":
        config = {"file": str(folder / "folder" / "model.safetensors"), "num_classes": 0}
        return lambda: timm.create_model(
            architecture, pretrained=True, num_classes=0, pretrained_cfg_overlay=config
        ).eval()

    def by_hand() -> torch.nn.Module:
        model = timm.create_model(architecture, num_classes=0)
        model.load_state_dict(torch.load(folder / "weights.pth", weights_only=True))
        return model.eval()

    return by_hand


def worker(way: str, architecture: str, folder: Path, runs: int) -> dict[str, float]:
    """CPU seconds of the first call, and the median of the next ones."""
    import torch

    torch.set_num_threads(1)
    load = loader(way, architecture, folder)
    seconds = []
    for _ in range(runs + 1):
        start = time.process_time()
        load()
        seconds.append(time.process_time() - start)
    return {"fresh": seconds[0], "warm": statistics.median(seconds[1:])}


def in_new_process(way: str, architecture: str, folder: Path, runs: int, home: Path) -> dict[str, float]:
    """`worker` in a new process."""
    command = [sys.executable, __file__, "--worker", way, architecture, str(folder), str(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MEDZOO_HOME": str(home)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def listing(runs: int) -> float:
    """Median CPU milliseconds of the first list of all entries in a process."""
    code = (
        "import time, medzoo; f = medzoo.list_models; t = time.process_time(); f(method='simclr'); "
        "print(time.process_time() - t)"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        for _ in range(runs + 1)
    ]
    return 1000 * statistics.median(float(row.stdout) for row in done[1:])


def measure(architectures: list[str], runs: int) -> list[dict[str, object]]:
    """All ways in turns, so that the load of other programs affects all of them."""
    rows: list[dict[str, object]] = []
    for architecture in architectures:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            prepare(architecture, folder)
            times: dict[tuple[str, str], list[float]] = {}
            for turn in range(runs):
                for way in WAYS:
                    took = in_new_process(way, architecture, folder, 3, folder / "home")
                    for kind, seconds in took.items():
                        times.setdefault((way, kind), []).append(seconds)
                first = in_new_process("medzoo", architecture, folder, 0 if turn else 1, folder / f"home{turn}")
                times.setdefault(("medzoo", "first"), []).append(first["fresh"])
            middle = {key: statistics.median(values) for key, values in times.items()}
            for kind in ("warm", "fresh", "first"):
                other = "fresh" if kind == "first" else kind
                rows.append(
                    {
                        "architecture": architecture, "call": kind, "medzoo_ms": 1000 * middle["medzoo", kind],
                        "timm_ms": 1000 * middle["timm", other], "torch_ms": 1000 * middle["torch", other],
                        "over_timm": middle["medzoo", kind] / middle["timm", other],
                        "over_torch": middle["medzoo", kind] / middle["torch", other],
                        "target": TARGETS.get((architecture, kind), 1.0),
                    }
                )  # fmt: skip
    return rows


def markdown(rows: list[dict[str, object]], listed: float) -> str:
    """The table, and the versions and the machine of the measurement."""
    import timm
    import torch

    lines = [
        "# Loading: CPU time, one thread", "",
        "`python benchmarks/load.py --out benchmarks/results/load.md`; the ratios count, the milliseconds are this machine's.", "",
        "| network | call | medzoo ms | timm ms | torch ms | medzoo / timm | target | medzoo / torch |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    cells = (
        "| {architecture} | {call} | {medzoo_ms:.0f} | {timm_ms:.0f} | {torch_ms:.0f} | {over_timm:.2f} | {target:.2f} | "
        "{over_torch:.2f} |"
    )
    lines += [cells.format(**row) for row in rows]
    lines += ["", f"Listing all entries with a filter, first call of a process: {listed:.0f} ms (target 50).", ""]
    lines += [
        f"torch {torch.__version__}, timm {timm.__version__}, Python {platform.python_version()}, {platform.machine()}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--worker"]:
        way, architecture, folder, runs = sys.argv[2:6]
        print(
            json.dumps(
                worker(way, architecture, Path(folder), int(runs))
                if int(runs)
                else first_only(way, architecture, folder)
            )
        )
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--runs", type=int, default=7, help="number of turns; the median is reported")
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    text = markdown(measure(options.architectures, options.runs), listing(options.runs))
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")


def first_only(way: str, architecture: str, folder: str) -> dict[str, float]:
    """CPU seconds of the first call only."""
    import torch

    torch.set_num_threads(1)
    load = loader(way, architecture, Path(folder))
    start = time.process_time()
    load()
    return {"fresh": time.process_time() - start}


if __name__ == "__main__":
    main()
