"""The command line, run in this process."""

import sys

import pytest

from medzoo.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Call `medzoo` with arguments; gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medzoo", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call
