"""The parts of the `medzoo` command, one file a subject; cli.py puts them together."""
