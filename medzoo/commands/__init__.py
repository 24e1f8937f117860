"""The subcommands of the `medzoo` command, one file per subject; cli.py combines them."""
