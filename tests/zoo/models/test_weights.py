import json
import struct

import pytest
import torch
from expect import raises
from safetensors.torch import save_file

from medzoo.errors import IntegrityError
from medzoo.zoo.models.weights import read_header, read_weights, write_weights


def write(path, header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
DOUBLE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
BAD = {
    "empty": (b"", b"", 0, "header-damaged"),
    "huge length": (b"{}", b"", 2**63, "weights-truncated"),
    "longer than the file": (b"{}", b"", 1000, "weights-truncated"),
    "big header": (b" " * (9 * 2**20), b"", None, "header-too-large"),
    "no json": (b"hello", b"", None, "header-damaged"),
    "no utf8": (b'{"\xff":1}', b"", None, "header-damaged"),
    "deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"", None, "header-damaged"),
    "a list": ([], b"", None, "header-damaged"),
    "twice": (DOUBLE, b"1234", None, "header-damaged"),
    "unknown type": ({"a": {**ONE, "dtype": "F33"}}, b"1234", None, "header-damaged"),
    "extra key": ({"a": {**ONE, "x": 1}}, b"1234", None, "header-damaged"),
    "negative": ({"a": {**ONE, "shape": [-1]}}, b"1234", None, "header-damaged"),
    "float": ({"a": {**ONE, "shape": [1.0]}}, b"1234", None, "header-damaged"),
    "overflow": ({"a": {**ONE, "shape": [2**62]}}, b"1234", None, "header-damaged"),
    "overlap": ({"a": ONE, "b": ONE}, b"1234", None, "tensors-overlap"),
    "hole": ({"a": ONE, "b": {**ONE, "data_offsets": [8, 12]}}, b"1" * 12, None, "tensors-overlap"),
    "truncated": ({"a": ONE}, b"12", None, "weights-truncated"),
    "too long": ({"a": ONE}, b"12345", None, "weights-truncated"),
    "many": (
        {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(10_001)},
        b"",
        None,
        "too-many-tensors",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_headers_are_refused_before_safetensors(tmp_path, case):
    header, data, length, says = BAD[case]
    path = write(tmp_path / "model.safetensors", header, data, length)
    with raises(IntegrityError, says):
        read_header(path)
    with pytest.raises(IntegrityError):
        read_weights(path)


def test_round_trip_of_shared_and_strided_tensors(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    state = {"a": base.t(), "b": base, "c": base[1], "d": torch.tensor(3), "e": torch.ones(2, dtype=torch.bfloat16)}
    write_weights(state, tmp_path / "x.safetensors")
    back = read_weights(tmp_path / "x.safetensors")
    assert all(torch.equal(back[name], state[name]) for name in state)
    header = read_header(tmp_path / "x.safetensors")
    assert header["a"].shape == (4, 3) and header["e"].dtype == "BF16"


def test_agrees_with_safetensors(tmp_path):
    state = {f"layer{i}": torch.zeros(i, 2) for i in range(5)}
    save_file(state, tmp_path / "x.safetensors")
    assert {name: row.shape for name, row in read_header(tmp_path / "x.safetensors").items()} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }


def test_missing_file(tmp_path):
    with raises(IntegrityError, "weights-unreadable"):
        read_header(tmp_path / "none")
