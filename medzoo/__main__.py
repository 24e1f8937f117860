"""`python -m medzoo` is the command `medzoo`."""

from medzoo.cli import main

if __name__ == "__main__":
    main()
