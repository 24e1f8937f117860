"""Values of files are stored while they are computed: an interrupted scan continues where it stopped."""

import pytest

from medzoo.data.files import scan_cache
from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.files.scan_cache import look_up


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for number in range(100):
        (root / f"{number:03d}.bin").write_bytes(bytes([number]))
    return root, [path.name for path in sorted(root.iterdir())]


def stopped(read, last):
    """A function that notes what it computes, and is interrupted at a file."""

    def find(name):
        if name == last:
            raise KeyboardInterrupt
        read.append(name)
        return name.upper()

    return find


def test_an_interrupted_scan_keeps_what_it_computed(files):
    root, names = files
    read = []
    with pytest.raises(KeyboardInterrupt):
        look_up(root, names, "test", stopped(read, names[60]), "read")
    assert read == names[:60]
    assert look_up(root, names, "test", stopped(read, None), "read") == [name.upper() for name in names]
    assert read == names  # each file once


def test_a_scan_that_is_killed_loses_at_most_the_last_minute(files, monkeypatch):
    root, names = files
    clock, seen = [0.0], []
    monkeypatch.setattr(scan_cache.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(scan_cache, "write_json", lambda path, value: seen.append(len(value["files"])))

    def slow(name):
        clock[0] += 7.0
        return name

    look_up(root, names, "test", slow, "read")
    gaps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert seen[-1] == 100 and max(gaps) <= 9 and len(seen) == 12  # 60 seconds are 9 files


def test_what_is_known_is_not_written_again(files, monkeypatch):
    root, names = files
    look_up(root, names, "test", str.upper, "read")
    monkeypatch.setattr(scan_cache, "write_json", lambda *_: pytest.fail("written again"))
    assert look_up(root, names, "test", lambda _: pytest.fail("read again"), "read") == [name.upper() for name in names]


def test_long_hashing_shows_its_progress(files, monkeypatch):
    root, names = files
    bars = []

    class Bar:
        def __init__(self, **options):
            self.count, self.options = 0, options
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def update(self, count=1):
            self.count += count

    monkeypatch.setattr(scan_cache, "tqdm", Bar)
    fingerprint(root, names)
    assert [(bar.count, bar.options["total"], bar.options["desc"]) for bar in bars] == [(100, 100, "hash files")]
