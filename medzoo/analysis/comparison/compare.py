"""Compare two checkpoints on a task: all analyses that apply, each stored once."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from medzoo.analysis import Analysis, ReadsOtherData, list_analyses, open_analysis
from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.bench.analyses.record import StoredAnalysis, get_analysis, put_analysis
from medzoo.bench.results.record import environment
from medzoo.errors import MissingExtraError, NotApplicableError, UsageError
from medzoo.progress import duration, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class ComparedCheckpoints:
    """The outcome of a comparison.

    Args:
        titles: names of the two checkpoints.
        task: name of the task.
        made: the analyses, in the order in which they were made.
        left_out: analyses that do not apply, with the reason.
    """

    titles: tuple[str, str]
    task: str
    made: list[StoredAnalysis] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, each with the name of its analysis."""
        return [{"analysis": one.name, **row} for one in self.made for row in one.rows]


def compare_checkpoints(options: CompareOptions, chosen: Mapping[str, Any] | None = None) -> ComparedCheckpoints:
    """Make the analyses that the options name, or all that apply; those in the store are not made again.

    Args:
        options: of the comparison.
        chosen: the Options of analyses by name; others have their defaults.

    Raises:
        UsageError: for options that cannot work.
        UnknownNameError: for an unknown analysis, layer, checkpoint or task.
        NotApplicableError: if an analysis that was named in `only` does not apply, or none does.
    """
    options.check()
    names = list(dict.fromkeys(options.only or _in_order()))
    modules = {name: open_analysis(name) for name in names}
    inputs = ComparedInputs(options)
    outcome = ComparedCheckpoints(inputs.titles, options.task)
    for name, module in modules.items():
        one = (chosen or {}).get(name) or module.Options()
        try:
            outcome.made.append(_made(name, module, inputs, one))
        except (NotApplicableError, MissingExtraError) as error:
            if options.only:
                raise
            outcome.left_out[name] = str(error)
            say(f"{name}: left out. {error}")
    if not outcome.made:
        reasons = " ".join(f"{name}: {reason}" for name, reason in outcome.left_out.items())
        raise NotApplicableError(f"No analysis applies. {reasons}", code="no-analysis-applies")
    return outcome


def _in_order() -> list[str]:
    """All analyses; the one whose forward passes others use is the first, and those that read stored analyses are last."""
    names = list_analyses()
    return sorted(names, key=lambda name: ("analyses" in open_analysis(name).USES, name != "representation", name))


def _made(name: str, module: Analysis, inputs: ComparedInputs, options: Any) -> StoredAnalysis:  # noqa: ANN401
    """An analysis from the store, or made now and stored."""
    identity = _identity(name, module, inputs, options)
    root = inputs.store.root
    if not inputs.options.again and (known := get_analysis(root, identity)) is not None:
        say(f"{name}: in the store ({known.path})")
        return known
    started = time.monotonic()
    rows = module.run(inputs, options)
    made = put_analysis(
        root,
        {
            "identity": identity,
            "title": module.TITLE,
            "question": module.QUESTION,
            "sentence": module.sentence(rows),
            "rows": rows,
            "table": module.table(rows),
            "environment": environment(precision="fp32", kind=inputs.device.type),
        },
        _drawn(module.plot(rows)),
    )
    say(f"{name}: {duration(time.monotonic() - started)}. {made.content['sentence']}")
    return made


def _identity(name: str, module: Analysis, inputs: ComparedInputs, options: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a stored analysis is found by."""
    uses, version = module.USES, getattr(module, "VERSION", 1)
    used = inputs.identity(uses)
    if isinstance(module, ReadsOtherData):
        used |= module.other_inputs(inputs, options)
    identity = {
        "analysis": name,
        "task": inputs.data(uses),
        "subjects": list(inputs.titles),
        "options": asdict(options),
        "inputs": used,
    }
    return identity if version == 1 else {**identity, "version": version}


def _drawn(figure: Figure) -> dict[str, bytes]:
    """A figure as SVG and PNG; the same rows give the same bytes."""
    import matplotlib

    drawn = {}
    with matplotlib.rc_context({"svg.hashsalt": "medzoo", "savefig.facecolor": "white"}):
        for form, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            content = io.BytesIO()
            figure.savefig(content, format=form, dpi=150, metadata=metadata)
            drawn[form] = content.getvalue()
    return drawn


def compare(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    task: str,
    *,
    only: Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    split: str = "test",
    images: int = 1000,
    size: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "auto",
    hub: str | os.PathLike[str] | None = None,
    accept_license: bool = False,
    results: str | os.PathLike[str] = "results",
    runs_of: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Compare two checkpoints on the images and the stored results of a task: representation, predictions, weights, ...

    Args:
        a: a checkpoint's name, a folder, or a run folder.
        b: another one, for example the run folder of `a` after fine-tuning.
        task: a task, or folder:PATH.
        only: names of analyses; None makes all that apply.
        root: folder of the data set, where the task needs one.
        split: whose images go through the networks.
        images: the most of them.
        size: side of the input, pixels; by default the smaller of the two checkpoints'.
        seed: of all draws.
        batch_size: images of one forward pass.
        device: "auto" or "cpu".
        hub: directory used instead of the Hub.
        accept_license: accept non-commercial or contested terms.
        results: store of results; its runs are read, and the analyses are added.
        runs_of: protocol of the stored runs.
        options: the Options of analyses, by name; others have their defaults.

    Returns:
        The rows of all analyses: dicts of texts and numbers, each with its "analysis".

    Raises:
        UsageError: for options that cannot work.
        NotApplicableError: if an analysis in `only` does not apply, or none does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = compare("resnet18-random", "resnet18-random", "phantom_oct,n=8,n_validation=4,n_test=8", size=32,
    ...                    only=["representation"], results=folder)
    >>> rows[0]["layer"]
    'act1'
    """
    given = CompareOptions(
        checkpoints=[_text(a, "a"), _text(b, "b")], task=_text(task, "task"), only=_names(only),
        root=None if root is None else _text(root, "root"), split=split, images=images, size=size, seed=seed,
        batch_size=batch_size, device=device, hub=None if hub is None else _text(hub, "hub"),
        accept_license=accept_license, results=_text(results, "results"), runs_of=runs_of,
    )  # fmt: skip
    return compare_checkpoints(given, options).rows


def _text(value: object, name: str) -> str:
    if isinstance(value, str | os.PathLike) and isinstance(path := os.fspath(value), str) and path:
        return path
    raise UsageError(
        f"{name} is {str(value)[:80]!r} ({type(value).__name__}); give a name or a path. "
        'Example: medzoo.compare("resnet50-imagenet", "resnet50-radimagenet", "pneumoniamnist").',
        code="compare-argument",
    )


def _names(only: object) -> list[str] | None:
    if only is None:
        return None
    if isinstance(only, str) or not isinstance(only, Iterable):
        raise UsageError(
            f"only is {only!r:.80}; give a list of analyses, such as ['weights'].", code="compare-argument"
        )
    return [_text(one, "an analysis in only") for one in only]
