"""A contribution that tests tamper with and then review."""

import json
import shutil

import pyarrow.parquet as pq
import sharing_samples as samples

from medzoo import store as files_store
from medzoo.bench.results.record import parquet_bytes
from medzoo.bench.results.store import run_id
from medzoo.bench.review.review import review
from medzoo.bench.sharing.layout import predictions_file, run_file


class Folder:
    """A contribution that a test may tamper with."""

    def __init__(self, root):
        self.root = root
        samples.contribute(root)

    def name(self, task="phantom_chest", **facts):
        return run_file(samples.identity(task, **facts))

    def edit(self, change, task="phantom_chest", *, moved=True, **facts):
        """Change a result; its run_id and place follow its identity."""
        name = self.name(task, **facts)
        result = json.loads((self.root / name).read_text())
        change(result)
        result["run_id"] = run_id(result["identity"])
        target = run_file(result["identity"]) if moved else name
        content = self.root / predictions_file(name)
        (self.root / name).unlink()
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / target).write_text(json.dumps(result))
        if target != name and content.is_file():
            (self.root / predictions_file(target)).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(content, self.root / predictions_file(target))
        return target

    def predictions(self, change, task="phantom_chest", **facts):
        """Change predictions; the result names the new file."""
        name = self.name(task, **facts)
        path = self.root / predictions_file(name)
        table = change if isinstance(change, bytes) else change(pq.read_table(path))
        path.write_bytes(table if isinstance(table, bytes) else parquet_bytes(table))
        digest, rows = files_store.sha256_file(path), getattr(table, "num_rows", samples.CASES)

        def named(result):
            result["predictions"] = {"sha256": digest, "rows": rows}

        return self.edit(named, task, **facts)

    def judge(self):
        return {(finding.check, finding.file) for finding in review(self.root)}

    def checks(self):
        return {finding.check for finding in review(self.root)}
