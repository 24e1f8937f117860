"""Check a model card without the Hub: unambiguous front matter and no missing fact.

The Hub's own check works online only, and huggingface_hub accepts almost everything offline: invented licences, NaN, YAML tags
that run Python. Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medzoo.errors import CardError, listed
from medzoo.zoo.registry.licenses import HUB_IDS

RELATIONS = ("adapter", "merge", "quantized", "finetune")
PIPELINES = ("image-classification", "image-feature-extraction", "image-segmentation", "feature-extraction", "depth-estimation",
             "object-detection", "mask-generation", "zero-shot-image-classification", "image-to-image")  # fmt: skip
HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
SECTIONS = ("Use", "Input", "Training", "Licence", "Not tested")  # required in medzoo's cards
LIMIT = 1024 * 1024  # bytes
FRONT = re.compile(r"---\r?\n(.*?)\r?\n---\r?\n", re.DOTALL)
PATTERNS = {"license_name": r"[a-z0-9][a-z0-9.-]{0,63}", "new_version": HUB_ID.pattern}


def problems(text: str, *, ours: bool = True) -> list[str]:
    """The problems of a card, one sentence each; empty if it has none.

    Args:
        text: the README.md.
        ours: whether it must have the sections of medzoo's cards.

    >>> problems("no front matter")
    ['The card has no front matter between two lines of ---.']
    """
    if len(text.encode()) > LIMIT:
        return [f"The card has more than {LIMIT:,} bytes."]
    match = FRONT.match(text)
    if match is None:
        return ["The card has no front matter between two lines of ---."]
    rows = _yaml(match[1])
    if isinstance(rows, str):
        return [rows]
    wrong = [problem for check in CHECKS for problem in check(rows)]
    body = text[match.end() :]
    if "[More Information Needed]" in body:
        wrong.append("The card has [More Information Needed]. State the fact or remove the line.")
    if re.search(r"\{\{\s|\{%", body):
        wrong.append("The card has template marks ({{ or {%): it was not rendered completely.")
    absent = [name for name in SECTIONS if ours and not re.search(rf"^## {name}$", body, re.MULTILINE)]
    if absent:
        wrong.append(f"The card lacks the sections {', '.join(absent)}.")
    return wrong


def check_card(text: str, where: str, *, ours: bool = True) -> None:
    """Refuse a card with problems.

    Args:
        text: the README.md.
        where: the file, for the message.
        ours: as for `problems`.

    Raises:
        CardError: with all problems.
    """
    if wrong := problems(text, ours=ours):
        raise CardError(f"{where}: {listed(wrong, 8)}", code="card-invalid")


def stated_license(text: str) -> str | None:
    """The licence's id in a card's front matter; None if there is none.

    >>> stated_license("---\\nlicense: mit\\n---\\n")
    'mit'
    """
    match = FRONT.match(text)
    rows = _yaml(match[1]) if match else {}
    identifier = rows.get("license") if isinstance(rows, dict) else None
    return identifier if isinstance(identifier, str) else None


def _yaml(text: str) -> dict[str, Any] | str:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses duplicate keys, which YAML readers resolve differently."""

    def no_duplicates(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise yaml.YAMLError(f"a key occurs twice in line {node.start_mark.line + 1}")
        return {
            key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)
        }

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_duplicates)
    try:
        rows = yaml.load(text, Loader)  # a SafeLoader: no tag can create objects
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"The front matter is not plain YAML: {' '.join(str(error).split())[:300]}"
    return rows if isinstance(rows, dict) else "The front matter is not a table of keys."


def _license(rows: Mapping[str, Any]) -> Iterator[str]:
    identifier = rows.get("license")
    if not isinstance(identifier, str) or not identifier:
        yield "license is missing. Give an id, or 'unknown'."
    elif identifier not in HUB_IDS:
        yield f"license {identifier!r} is not an id of the Hub (lower case; for your own terms, 'other')."
    elif identifier == "other":
        for key in ("license_name", "license_link"):
            if not isinstance(rows.get(key), str) or not rows[key]:
                yield f"license 'other' needs {key}."
        link = str(rows.get("license_link", ""))
        if link and not (link.startswith("https://") or re.fullmatch(r"LICENSE(\.[a-z]+)?", link)):
            yield f"license_link is {link!r}; it must be an https address or the file LICENSE."


def _ids(rows: Mapping[str, Any]) -> Iterator[str]:
    for key in ("base_model", "datasets"):
        values = rows.get(key, [])
        for value in [values] if isinstance(values, str) else values if isinstance(values, list) else [None]:
            if not isinstance(value, str) or not HUB_ID.fullmatch(value) or ".." in value:
                yield f"{key} {value!r} is not an id of the Hub (org/name)."
    relation = rows.get("base_model_relation")
    if relation is not None and relation not in RELATIONS:
        yield f"base_model_relation is {relation!r}; it must be one of {', '.join(RELATIONS)}."
    if relation is not None and not rows.get("base_model"):
        yield "base_model_relation needs base_model."
    for key, pattern in PATTERNS.items():
        if key in rows and not (isinstance(rows[key], str) and re.fullmatch(pattern, rows[key])):
            yield f"{key} is {rows[key]!r}, which the Hub does not accept."


def _words(rows: Mapping[str, Any]) -> Iterator[str]:
    tags = rows.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and 0 < len(tag) <= 128 for tag in tags):
        yield "tags must be a list of short texts."
    pipeline = rows.get("pipeline_tag")
    if pipeline is not None and pipeline not in PIPELINES:
        yield f"pipeline_tag is {pipeline!r}; it must be a task of an image network ({listed(PIPELINES, 3)})."


def _model_index(rows: Mapping[str, Any]) -> Iterator[str]:
    if "model-index" not in rows:
        return
    models = rows["model-index"]
    if not isinstance(models, list) or not all(isinstance(model, dict) and model.get("name") for model in models):
        yield "model-index must be a list of models with a name."
        return
    for model in models:
        results = model.get("results")
        if not isinstance(results, list) or not results:
            yield f"model-index: {model['name']} has no results."
            continue
        for number, result in enumerate(results):
            yield from _result(result, f"model-index: result {number}")


def _result(result: object, where: str) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f"{where} is not a table."
        return
    for table, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        given = result.get(table)
        for key in keys:
            if not isinstance(given, dict) or not isinstance(given.get(key), str) or not given[key]:
                yield f"{where} lacks {table}.{key}."
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f"{where} has no metrics."
        return
    for metric in metrics:
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str):
            yield f"{where}: a metric has no type."
        elif isinstance(metric.get("value"), bool) or not isinstance(metric.get("value"), int | float):
            yield f"{where}: {metric['type']} has the value {metric.get('value')!r}; it must be a number."
        elif not math.isfinite(metric["value"]):
            yield f"{where}: {metric['type']} is {metric['value']}; it must be finite."
    source = result.get("source")
    if source is not None and not (isinstance(source, dict) and str(source.get("url", "")).startswith("https://")):
        yield f"{where}: the source needs an https url."


CHECKS: tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...] = (_license, _ids, _words, _model_index)
