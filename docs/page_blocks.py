"""Run the code blocks of a page and compare what they print with what the page shows.

    python docs/page_blocks.py docs/tutorials/segment.md            # exit 1, with the differences
    python docs/page_blocks.py docs/tutorials/segment.md --update   # write the outputs into the page

The blocks of a page run in their order in one folder that has nothing but links to recipes/ and benchmarks/. Python blocks share
one session, as in a notebook; `sh` blocks are commands. A `text` block with the title "Output" shows what the block above it prints
to stdout. With the title "Output (other numbers on other machines)", only its words are compared; empty it to write it again with
`--update`. `...` stands for any text. `bash` blocks are not run: they need a cluster, a GPU or data behind a form.
"""

from __future__ import annotations

import argparse
import difflib
import doctest
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LINKED = ("recipes", "benchmarks")  # folders of the checkout that the blocks may read
FENCE = re.compile(
    r'^```(?P<kind>[a-z]+)(?: title="(?P<title>[^"]*)")?\n(?P<text>.*?)^```$\n?', re.MULTILINE | re.DOTALL
)
EXACT, ABOUT = "Output", "Output (other numbers on other machines)"
HASH = re.compile(r"\b[0-9a-f]{8,}\b")
NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?")
SESSION = """
import contextlib, io, json, sys, traceback
names, requests, answers = {"__name__": "__main__"}, sys.stdin, sys.stdout
for line in requests:
    printed, failed = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(json.loads(line), "<block>", "exec"), names)
        except BaseException:
            failed = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failed]), file=answers, flush=True)
"""


class PageError(Exception):
    """A block of a page failed, or printed something else than the page shows."""


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Args:
        kind: "python" or "sh".
        text: its code.
        line: where it starts in the page, from 1.
        end: the offset after it.
        shown: the output that the page shows; None if it shows none.
        title: of the output.
        span: start and end of the output's text in the page.
    """

    kind: str
    text: str
    line: int
    end: int
    shown: str | None = None
    title: str = EXACT
    span: tuple[int, int] = (0, 0)


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page that run, in their order.

    Args:
        page: the text of a Markdown file.
    """
    fences = list(FENCE.finditer(page))
    for number, fence in enumerate(fences):
        if fence["kind"] not in ("python", "sh"):
            continue
        line = page.count("\n", 0, fence.start()) + 1
        block = Block(fence["kind"], fence["text"], line, fence.end())
        after = fences[number + 1] if number + 1 < len(fences) else None
        if after is not None and after["title"] in (EXACT, ABOUT) and not page[fence.end() : after.start()].strip():
            block = Block(block.kind, block.text, line, fence.end(), after["text"], after["title"], after.span("text"))
        yield block


class Session:
    """One folder, one Python process and one environment for the blocks of a page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in LINKED:
            if not (folder / name).exists():
                (folder / name).symlink_to(REPOSITORY / name)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {
            **os.environ, "PATH": path, "MEDZOO_HOME": str(folder / ".medzoo"), "HF_HUB_OFFLINE": "1", "COLUMNS": "120",
            "PYTHONWARNINGS": "ignore::DeprecationWarning,ignore::FutureWarning",
        }  # fmt: skip
        self._python: subprocess.Popen[str] | None = None

    def run(self, block: Block) -> str:
        """Run a block and return what it printed to stdout.

        Args:
            block: of a page.

        Raises:
            PageError: if it fails.
        """
        printed, failed = self._execute(block.text) if block.kind == "python" else self._shell(block.text)
        if failed:
            raise PageError(
                f"line {block.line}: the {block.kind} block fails:\n{block.text}\n{printed[-2000:]}\n{failed[-3000:]}"
            )
        if "```" in printed and block.shown is not None:
            raise PageError(
                f"line {block.line}: the output has a Markdown fence, which would end its block: show a part of it."
            )
        return printed.replace(f"{self.folder}/", "")

    def _shell(self, text: str) -> tuple[str, str]:
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        return done.stdout, f"exit code {done.returncode}\n{done.stderr}" if done.returncode else ""

    def _execute(self, text: str) -> tuple[str, str]:
        if self._python is None:
            command = [sys.executable, "-c", SESSION]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._python = subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes)
        assert self._python.stdin is not None and self._python.stdout is not None
        self._python.stdin.write(json.dumps(text) + "\n")
        self._python.stdin.flush()
        answer = self._python.stdout.readline()
        printed, failed = json.loads(answer) if answer else ("", "the Python process ended")
        return printed, failed

    def close(self) -> None:
        """End the Python process."""
        if self._python is not None:
            self._python.communicate()


def _words(text: str) -> str:
    """A text without its numbers, and without what depends on their width: runs of spaces and lines of tables."""
    text = NUMBER.sub("#", HASH.sub("#", text))
    return re.sub(r"[ \t]+", " ", re.sub(r"[-=─━]{2,}", "--", text)).strip()


def agrees(printed: str, shown: str, title: str = EXACT) -> bool:
    """Whether a block printed what the page shows.

    Args:
        printed: to stdout.
        shown: in the page; `...` stands for any text.
        title: of the shown text.

    >>> agrees("AUROC 0.71", "AUROC 0.68"), agrees("AUROC 0.71", "AUROC 0.68", ABOUT), agrees("a b c", "a ... c")
    (False, True, True)
    """
    texts = [
        _words(text) if title == ABOUT else "\n".join(map(str.rstrip, text.strip().splitlines()))
        for text in (printed, shown)
    ]
    return doctest.OutputChecker().check_output(texts[1] + "\n", texts[0] + "\n", doctest.ELLIPSIS)


def check(path: Path, folder: Path, *, update: bool = False) -> list[str]:
    """Run all blocks of a page.

    Args:
        path: of the Markdown file.
        folder: an empty folder to run in.
        update: write what the blocks print into the page.

    Returns:
        one text for each output that differs.

    Raises:
        PageError: if a block fails.
    """
    page = path.read_text(encoding="utf-8")
    session, wrong, new = Session(folder), [], []
    try:
        for block in blocks(page):
            printed = session.run(block)
            if block.shown is None or agrees(printed, block.shown, block.title):
                continue
            new.append((block.span, "\n".join(map(str.rstrip, printed.strip("\n").splitlines())) + "\n"))
            lines = difflib.unified_diff(
                block.shown.splitlines(), printed.splitlines(), "the page", "the command", lineterm=""
            )
            wrong.append(f"{path}:{block.line}: the output is not the one that the page shows:\n" + "\n".join(lines))
    finally:
        session.close()
    if update:
        for (start, end), text in reversed(new):
            page = page[:start] + text + page[end:]
        path.write_text(page, encoding="utf-8")
        return []
    return wrong


def main() -> None:
    """Check or update the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--update", action="store_true", help="write what the blocks print into the page")
    given = parser.parse_args()
    wrong = []
    for page in given.pages:
        with tempfile.TemporaryDirectory() as folder:
            try:
                wrong += check(page, Path(folder), update=given.update)
            except PageError as error:
                wrong.append(f"{page}: {error}")
    if wrong:
        sys.exit("\n\n".join(wrong))


if __name__ == "__main__":
    main()
