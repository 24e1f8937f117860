"""The `--help` page of a recipe: one spelling per option, sections, and the default that is really used."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass

from medzoo.training.options.fields import flag, shown_default

OTHER = "other"
ORDER = ("what to run", "data", "training")  # then the method's options, device, output, other


@dataclass(frozen=True)
class OptionHelp:
    """What `--help` shows for one option in addition to its help line."""

    section: str
    default: str
    required: bool


def option_helps(
    types: Sequence[type], rows: Mapping[str, Field[object]], defaults: Mapping[str, str]
) -> dict[str, OptionHelp]:
    """Section and default of every option.

    Args:
        types: the dataclasses, whose docstrings name the sections of fields without one.
        rows: the fields that are options.
        defaults: texts for defaults that the fields do not contain.
    """
    helps = {}
    for kind in types:
        own = (kind.__doc__ or OTHER).partition("\n")[0].rstrip(".")
        for name in getattr(kind, "__dataclass_fields__", {}):
            if name in rows:
                one = rows[name]
                default = f"default: {defaults[name]}" if name in defaults else shown_default(one)
                section = one.metadata.get("section") or own[:1].lower() + own[1:]
                helps[name] = OptionHelp(section, default, bool(one.metadata.get("required")))
    return helps


def _whole(text: str) -> int:
    return int(text)


def _number(text: str) -> float:
    return float(text)


# argparse names the function in its message: "invalid whole number value: 'x'"
_whole.__name__, _number.__name__ = "whole number", "number"
_WORDED: dict[object, Callable[[str], float]] = {int: _whole, float: _number}


def one_spelling(parser: argparse.ArgumentParser, off: Sequence[str]) -> None:
    """Show one spelling of each option in help and messages; the other spellings still work.

    Args:
        parser: with its options.
        off: names of switches that also have a `--no-...` form.
    """
    for action in parser._actions:  # argparse has no public list of its options
        dashed = [text for text in action.option_strings if "_" not in text]
        if dashed:
            action.option_strings = dashed
        if action.type in _WORDED:
            action.type = _WORDED[action.type]
        if action.dest in off and action.nargs == 0:
            action.help = argparse.SUPPRESS  # shown together with the switch itself


def help_page(parser: argparse.ArgumentParser, helps: Mapping[str, OptionHelp]) -> str:
    """The page as text.

    Args:
        parser: with its options.
        helps: section and default of each option, by destination.
    """
    # usage line and description
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 110))
    formatter = _Formatter(prog=parser.prog, max_help_position=30, width=width)
    formatter.helps = dict(helps)
    required = [f"{flag(name)} {_metavar(parser, name)}" for name, row in helps.items() if row.required]
    formatter.add_text(f"usage: {' '.join([parser.prog, *required, '[--option value ...]'])}")
    formatter.add_text(parser.description)
    # options by section; required options come first
    sections: dict[str, list[argparse.Action]] = {name: [] for name in ORDER}
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            row = helps.get(action.dest)
            here = sections.setdefault(row.section if row else OTHER, [])
            here.insert(
                sum(_is_required(helps, other) for other in here) if _is_required(helps, action) else len(here), action
            )
    last = [name for name in ("device", "output", OTHER) if name in sections]
    for name in [*(name for name in sections if name not in last), *last]:
        if sections[name]:
            formatter.start_section(name)
            formatter.add_arguments(sections[name])
            formatter.end_section()
    return formatter.format_help()


def _is_required(helps: Mapping[str, OptionHelp], action: argparse.Action) -> bool:
    row = helps.get(action.dest)
    return row is not None and row.required


def _metavar(parser: argparse.ArgumentParser, name: str) -> str:
    return next(str(action.metavar or name.upper()) for action in parser._actions if action.dest == name)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows each option once, with its default after its help line."""

    helps: dict[str, OptionHelp]

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = ", ".join(action.option_strings)
        row = self.helps.get(action.dest)
        if action.nargs in (0, "?"):  # a switch
            return f"{names}, --no-{names[2:]}" if row is not None and row.default == "default: on" else names
        if action.choices is not None:
            return f"{names} {{{','.join(str(choice) for choice in action.choices if choice is not None)}}}"
        return f"{names} {action.metavar or action.dest.upper()}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        row = self.helps.get(action.dest)
        text = f"{action.help}" if row is None else f"{action.help} ({row.default})"
        return text.replace("%", "%%")  # argparse treats a per cent sign as a format
