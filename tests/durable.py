"""The order of flushes and renames, to see what a loss of power would leave."""

import os
from pathlib import Path


class Trail:
    """The durable operations of a block, in order: ("fsync", inode) and ("name", path)."""

    def __init__(self, monkeypatch):
        self.rows = []
        for name in ("fsync", "replace", "rename", "link"):
            monkeypatch.setattr(os, name, self._noted(name, getattr(os, name)))

    def _noted(self, name, original):
        def call(*arguments, **options):
            done = original(*arguments, **options)
            if name == "fsync":
                self.rows.append(("fsync", os.fstat(arguments[0]).st_ino))
            else:
                self.rows.append(("name", Path(arguments[1])))
            return done

        return call

    def flushed(self, path):
        """Places in the order at which a file or folder was flushed."""
        inode = path.stat().st_ino
        return [place for place, row in enumerate(self.rows) if row == ("fsync", inode)]

    def named(self, path):
        """The last place at which a path got its content."""
        return max(place for place, (what, row) in enumerate(self.rows) if what == "name" and row == path)


def survives(trail, path):
    """Content before the name, and the folder after it."""
    named = trail.named(path)
    assert any(place < named for place in trail.flushed(path)), f"{path.name} may be empty after a loss of power"
    assert any(place > named for place in trail.flushed(path.parent)), f"{path.name} may be gone after a loss of power"
