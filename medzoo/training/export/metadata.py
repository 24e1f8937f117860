"""The metadata of an exported file: texts by name, read without torch."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from medzoo.errors import IntegrityError, MissingExtraError, UsageError

SCHEMA = "medzoo.export/1"
PT2_METADATA = "medzoo.json"  # of the extra files of a .pt2
_LIMIT = 16 * 1024 * 1024  # bytes


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a file that `medzoo.export` wrote; lists and tables are JSON.

    * schema, medzoo_version, versions: what wrote the file.
    * name, architecture, model_args: the network; format, precision, opset.
    * kind: features, binary, multiclass, multilabel, regression or segmentation.
    * input: name, layout, type, size, channels, mean, std, rule, clip, interpolation, crop_pct, resize, and how the test of the
      training run read, cropped and averaged images (window, crop_share, views, window_overlap); sizes: which heights and widths
      the file takes.
    * output, activation: the name of the output, and what turns it into probabilities (none, softmax, sigmoid, or
      sigmoid_over_sum). temperature T: with several views, it is applied to the mean of their probabilities. Each probability p
      becomes p^(1/T), divided by the sum over the classes (of a sigmoid: by p^(1/T) + (1 - p)^(1/T)). For one softmax or sigmoid
      this is the same as dividing the logits by T; for sigmoid_over_sum it is not.
    * labels: of the outputs, in order; thresholds: of the decisions.
    * license_id, license_url, license_note; lineage: the training steps of the weights.
    * weights_sha256, decoder_sha256: of the files that the network was loaded from; absent for random weights.
    * tolerance, largest_difference, difference: the check of the file; warning: for users.

    Args:
        path: an .onnx or .pt2 file.

    Returns:
        Texts by name.

    Raises:
        UsageError: if there is no such file.
        IntegrityError: if the file is not ONNX or .pt2, or medzoo did not write it.
        MissingExtraError: if onnx is not installed.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{path!r:.200} is not a path. Give an .onnx or .pt2 file.", code="not-a-path")
    file = Path(os.fsdecode(path))
    if not file.is_file():
        raise UsageError(f"There is no file {file}. Give an .onnx or .pt2 file.", code="exported-file-missing")
    try:
        values = _of_pt2(file) if zipfile.is_zipfile(file) else _of_onnx(file)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{file} has no readable metadata: {error}", code="export-metadata-unreadable") from error
    if values.get("schema") != SCHEMA:
        raise IntegrityError(
            f"{file} has no metadata of the schema {SCHEMA}. Export the network again with `medzoo export`.",
            code="export-metadata-missing",
        )
    return values


def _of_pt2(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/extra/{PT2_METADATA}")]
        if not names:
            return {}
        if archive.getinfo(names[0]).file_size > _LIMIT:
            raise ValueError(f"{names[0]} is larger than {_LIMIT:,} bytes")
        values = json.loads(archive.read(names[0]))
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}


def _of_onnx(path: Path) -> dict[str, str]:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "export", "Reading an ONNX file") from error
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError("it is not an ONNX file") from error
    return {row.key: row.value for row in model.metadata_props}
