"""Fixtures of the tests of full disks."""

from small_disk import disk, drawn, fails, mounted

__all__ = ["disk", "drawn", "fails", "mounted"]
