"""Which probe fits which task: refused before anything is loaded."""

from __future__ import annotations

from medzoo.data.task import Task
from medzoo.errors import UsageError
from medzoo.training.options.protocol_options import DENSE, OF_PROBES, Protocol


def check_probe(task: Task, protocol: Protocol) -> None:
    """Refuse a probe that cannot work on a task.

    Args:
        task: the opened task.
        protocol: resolved; one of a probe.

    Raises:
        UsageError: names the probe that works.
    """
    mode = protocol.mode
    if task.kind == "segmentation" and mode not in DENSE:
        raise UsageError(
            f"Task {task.name} is segmentation; the {mode} probe fits one label per image. Use --probe dense or dense_knn, or "
            "fine-tune with recipes/finetune.py.",
            code="task-kind-not-supported",
        )
    if task.kind != "segmentation" and mode in DENSE:
        raise UsageError(
            f"Task {task.name} is {task.kind} and has no masks; the {mode} probe needs masks. Use --probe linear or attentive.",
            code="probe-needs-masks",
        )
    if task.kind == "regression" and mode != "ridge":
        raise UsageError(
            f"The labels of task {task.name} are numbers, and the {mode} probe needs classes. Use --probe ridge.",
            code="probe-needs-classes",
        )
    for name in ("regularisation", "learning_rates", "weight_decays", "neighbours", "last_layers"):
        if mode in OF_PROBES[name] and not getattr(protocol, name):
            raise UsageError(
                f"Protocol {protocol.name} [{mode}] lists no values for `{name}`.", code="probe-values-missing"
            )
