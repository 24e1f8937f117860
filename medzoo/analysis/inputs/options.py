"""What is compared: the options that all analyses share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medzoo.errors import UsageError
from medzoo.training.options.fields import check_values, option
from medzoo.training.options.shared import DATA, DEVICE, OUTPUT, RUN, SEEDS, check_device, check_folder, check_place


@dataclass(kw_only=True)
class CompareOptions:
    """Options of a comparison: two checkpoints, a task, and where results are."""

    checkpoints: list[str] | None = option(  # noqa: RUF009 - not a call that makes a list
        "two checkpoints: names (`medzoo list`), hf-hub:org/name, org/name, folders or run folders",
        section=RUN,
        metavar="NAME",
        required=True,
    )
    task: str = option(
        "a task (`medzoo tasks list`), or your own data: folder:PATH or parquet:PATH",
        "",
        section=RUN,
        metavar="NAME",
        required=True,
    )
    only: list[str] | None = option(  # noqa: RUF009
        "analyses to make, by name; the others are left out", section=RUN, metavar="ANALYSIS", shown="all that apply"
    )
    again: bool = option("make analyses again that are in the store", False, section=RUN)
    root: str | None = option("folder of the data set, where the task needs one", section=DATA, metavar="DIR")
    groups: str | None = option(
        "column with the patient of each image, or none (your own data only)",
        section=DATA,
        metavar="COLUMN",
        shown="the column patient_id, patient or group",
    )
    split_file: str | None = option(
        "JSON or CSV file with the split of each image", section=DATA, metavar="FILE", shown="the splits of the data"
    )
    fold: int | None = option(
        "fold of a cross-validation", section=DATA, metavar="N", shown="no cross-validation", least=0
    )
    split: str = option("the split whose images are compared: train, validation or test", "test", section=DATA)
    images: int = option(
        "the most images that go through the networks, drawn at random",
        1000,
        section=DATA,
        metavar="N",
        least=2,
        most=1_000_000,
    )
    seed: int = option("seed of all draws", 0, section=DATA, metavar="N", least=0, most=SEEDS)
    size: int | None = option(
        "side of the input of all networks, pixels",
        section=DATA,
        metavar="PIXELS",
        shown="the smaller of the two checkpoints'",
        least=8,
        most=4096,
    )
    batch_size: int = option("images of one forward pass", 64, section=DEVICE, metavar="N", least=2, most=100_000)
    device: str = option("auto uses a GPU if there is one", "auto", section=DEVICE, metavar="auto|cpu")
    hub: str | None = option(
        "directory hub: a local directory of repositories, used instead of the Hub",
        section=RUN,
        metavar="DIR",
        shown="MEDZOO_HUB",
    )
    accept_license: bool = option("accept the terms of non-commercial or contested weights", False, section=RUN)
    results: str = option("store of results: its runs are read, and the analyses are added", "results", section=OUTPUT,
                          metavar="DIR")  # fmt: skip
    runs_of: str | None = option(
        "protocol of the stored runs that are compared: its name, or NAME@HASH", section=DATA, metavar="NAME",
        shown="the one that both checkpoints have",
    )  # fmt: skip
    out: str | None = option("folder of the report", section=OUTPUT, metavar="DIR", shown="RESULTS/analyses/report")

    @property
    def report_folder(self) -> Path:
        """The folder of the report."""
        return Path(self.out or Path(self.results) / "analyses" / "report").expanduser()

    def check(self) -> None:
        """Refuse values that no comparison can use, before anything is loaded.

        Raises:
            UsageError: names the option.
        """
        check_values(self)
        if not self.task:
            raise UsageError(
                "--task is missing. Give a name (`medzoo tasks list`), folder:PATH or parquet:PATH.",
                code="task-missing",
            )
        if self.checkpoints is None or len(self.checkpoints) != 2:
            count = len(self.checkpoints or ())
            raise UsageError(
                f"Give two checkpoints to compare, for example resnet50-imagenet resnet50-radimagenet; there are {count}.",
                code="two-checkpoints-needed",
            )
        check_device(self.device)
        check_folder(self.root, "--root")
        check_folder(self.hub, "--hub")
        check_place(self.results, "--results")
        if self.out is not None:
            check_place(self.out, "--out")
        if self.split_file is not None and not Path(self.split_file).expanduser().exists():
            raise UsageError(
                f"--split-file is {self.split_file!r}; there is no such file or folder.", code="split-file-missing"
            )
