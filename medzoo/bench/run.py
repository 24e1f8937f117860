"""One named checkpoint on one named task: the single implementation behind the recipes, the table and the demo."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench import metrics, results
from medzoo.bench.label_checks import check_labels
from medzoo.bench.suite import short_task
from medzoo.bench.trial import Trial
from medzoo.errors import DivergedError, UsageError
from medzoo.progress import is_brief, is_main_process, warn
from medzoo.training import compute
from medzoo.training.options import SharedOptions, open_task, option, slug, task_identity
from medzoo.training.protocol import Mode, Protocol, load_protocol, wished_precision

if TYPE_CHECKING:
    import torch

    from medzoo.data.task import Task


@dataclass(kw_only=True)
class CellOptions(SharedOptions):
    """Options of putting one checkpoint to one task with one seed."""

    checkpoint: str = option("name (`medzoo list`), hf-hub:org/name, org/name, or a folder", "")
    protocol: str = option("protocol by name, or a TOML file", "medzoo")
    out: str | None = option("folder of the run (default: runs/TASK/CHECKPOINT/ID)")
    results: str = option("store of results", "results")
    keep_weights: bool = option("leave the fine-tuned net in the run folder's checkpoint/", True)
    license: str = option("licence of the fine-tuned folder (an SPDX id); needed before it may be pushed", "unknown")

    def check(self) -> None:
        """Refuse what cannot run, before anything is loaded."""
        super().check()
        if not self.checkpoint:
            raise UsageError("--checkpoint is missing: a name (`medzoo list`), hf-hub:org/name, or a folder.")


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Args:
        result: the result, as stored.
        path: its file in the store of results.
        run: the run folder.
        cached: whether the store had it already.
    """

    result: dict[str, Any]
    path: Path
    run: Path | None
    cached: bool

    def __str__(self) -> str:
        where = "already in the store" if self.cached else f"run folder {self.run}"
        return f"{self.result['metric']} {self.worded}  ({where}; result {self.path})"

    @property
    def worded(self) -> str:
        """The value of the primary metric; "undefined" with the reason where the labels give none; else the status."""
        if self.headline is not None:
            return f"{self.headline:.4f}"
        if self.result["status"] != "ok":
            return str(self.result["status"])
        return f"undefined: {metrics.headline(self.result['metrics'], self.result['metric'])['undefined']}"

    @property
    def headline(self) -> float | None:
        """The task's primary metric on the test split."""
        return results.headline_value(self.result)

    def raise_if_diverged(self) -> None:
        """Turn a run without a value into an error, for a shell's exit code.

        Raises:
            DivergedError: with the reason that the result holds.
        """
        if self.result["status"] != "ok":
            raise DivergedError(f"{self.result['train'].get('reason')} The result is stored: {self.path}")


def run_cell(options: CellOptions, mode: Mode = "finetune") -> Outcome:
    """Fine-tune or probe a checkpoint on a task, test once, and store the result with its predictions.

    Args:
        options: checkpoint, task, protocol, seed, ...
        mode: "finetune" (all layers) or "linear" (a probe on frozen features).

    Returns:
        The outcome; one that the store already holds is returned at once. A run whose loss was not finite is an
        outcome too, with status "diverged" and without a value.

    Raises:
        UsageError: before anything is loaded.
        ResultError: before anything is loaded, if the validation labels cannot select.
        Interrupted: after a signal; the same call goes on.
    """
    options.check()
    wish = wished_precision(options.protocol, mode, options.precision)
    protocol = load_protocol(
        options.protocol, mode, epochs=options.epochs, size=options.size, batch_size=options.batch_size,
        learning_rate=options.learning_rate, precision=wish, device=options.device,
        began=compute.began(options.out, options.resume),
    )  # fmt: skip
    task = open_task(options)
    if task.kind not in ("binary", "multiclass", "multilabel"):
        raise UsageError(
            f"Task {task.name} is {task.kind}; the recipes fine-tune and probe classification so far. For a loop of your own, "
            "load_task reads its images and answers"
            + (", and medzoo.segmenter builds the network." if task.kind == "segmentation" else ".")
        )

    warned = check_labels(task, selects=mode == "linear" or protocol.selection == "best")

    from medzoo.training.features import weights_hash
    from medzoo.training.inputs import load_at_size
    from medzoo.training.runs import RunFolder

    classes = len(task.classes) if mode == "finetune" else 0
    model, size = load_at_size(
        options.checkpoint, num_classes=classes, size=protocol.size or None, seed=options.seed, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    receipt: Any = model.load_receipt
    data = task_identity(task, options, size)
    identity: dict[str, Any] = {
        "task": {"id": task.name, "version": task.version},
        "dataset": {
            "fingerprint": task.fingerprint, "split_hash": task.split_hash, "label_policy": task.label_policy,
            "preprocess_hash": _preprocess_hash(task, size, model),
        },
        "checkpoint": {
            "id": receipt.name, "weights_sha256": receipt.sha256 or None, "arch": receipt.architecture,
            "init": "stored" if receipt.sha256 else "random",
            **({"repo": receipt.repo, "revision": receipt.revision} if receipt.repo else {}),
        },
        "protocol": {
            "id": protocol.name, "hash": protocol.hash(), "label_fraction": options.fraction, "mode": mode, "size": size,
        },
        "seed": options.seed, "fold": options.fold,
        **(compute.identity_of_processes() if mode == "finetune" else {}),
    }  # fmt: skip
    if options.out is None and wish == "auto" and options.resume != "never":
        protocol = _as_begun(protocol, task, identity)
    store = results.ResultStore(Path(options.results))
    if (known := store.get(identity)) is not None and known.get("status") in ("ok", "diverged"):
        return Outcome(known, store.path(identity), None, cached=True)
    out = Path(options.out or _default_out(task, identity))
    run = RunFolder(
        out,
        mode,
        {**identity, "data": data},
        {**options.as_dict(), "mode": mode, **_resolved(protocol)},
        options.resume,
    )
    run.title = f"{short_task(receipt.name)} on {short_task(task.name)}"
    run.check()
    site = compute.settle(run, protocol.precision, options.device)
    compute.announce(
        run, site, checkpoint=compute.named(receipt), counts=compute.counts_of(task),
        how=f"protocol {protocol.name} {mode} {protocol.hash()[:8]} ({_resolved_words(protocol, size)})",
    )  # fmt: skip
    told = [] if is_brief() else warned  # the suite that a run is a part of has said that
    for sentence in (*told, *compute.doubts(site, kept=wish == "auto"), compute.begun_otherwise(out, run.identity)):
        if sentence:
            warn(sentence)
    started, clock = datetime.now(UTC), time.monotonic()

    main = is_main_process()

    def put(result: dict[str, Any], table: Any) -> Outcome:  # noqa: ANN401 - an Arrow table
        result["train"]["wall_s"] = round(time.monotonic() - clock, 1)
        result["provenance"] |= {"started": started.isoformat(), "finished": datetime.now(UTC).isoformat()}
        if not main:  # the other processes of a launch have the same numbers; one of them writes
            return Outcome(result, store.path(identity), run.path, cached=False)
        path = store.put(result, table)
        results.write_copy(run.path / "result.json", result)
        return Outcome(result, path, run.path, cached=False)

    cell = Trial(options, protocol, task, model, size, run, identity)
    for split in task.splits:  # decoding looks at no label; an unreadable image is found before hours of training
        cell.decoded(split)
    diverged: list[Outcome] = []
    try:
        with store.claim(identity) if main else nullcontext(), run.open(), site.applied(run):
            try:
                return put(*(cell.finetune() if mode == "finetune" else cell.probe(weights_hash(model))))
            except DivergedError as error:  # a result like any other: kept and shown, never averaged away
                diverged.append(put(cell.result("diverged", {}, [], None, {"reason": str(error)}), None))
                raise
    except DivergedError:
        return diverged[0]


def _default_out(task: Task, identity: dict[str, Any]) -> Path:
    return Path("runs") / slug(task.name) / slug(identity["checkpoint"]["id"]) / results.run_id(identity)[:16]


def _as_begun(protocol: Protocol, task: Task, identity: dict[str, Any]) -> Protocol:
    """The protocol, in the precision of an unfinished run that began where another one suited; `identity` follows it."""
    other = replace(protocol, precision="fp32" if protocol.precision == "bf16" else "bf16")
    there = {**identity, "protocol": {**identity["protocol"], "hash": other.hash()}}
    if compute.unfinished(_default_out(task, identity)) or not compute.unfinished(_default_out(task, there)):
        return protocol
    identity.update(there)
    return other


def _resolved_words(protocol: Protocol, size: int) -> str:
    epochs = f"{protocol.epochs} epoch{'s' * (protocol.epochs != 1)}, " if protocol.mode == "finetune" else ""
    return f"{epochs}batch {protocol.batch_size}, {size} px"


def _resolved(protocol: Protocol) -> dict[str, Any]:
    return {f"protocol_{key}": value for key, value in asdict(protocol).items() if key not in ("name", "mode")}


def _preprocess_hash(task: Task, size: int, model: torch.nn.Module) -> str:
    from medzoo import store
    from medzoo.data.cache import DECODER_VERSION
    from medzoo.training.inputs import convention_of

    return store.sha256_of({"decoder": DECODER_VERSION, "size": size, "input": repr(convention_of(model))})
