import argparse
import collections
import collections.abc
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from upstream_files import builder

from medzoo.errors import ConversionError
from medzoo.zoo.convert.readers.detect import read_tensors
from medzoo.zoo.convert.readers.pickles import read_pickle
from medzoo.zoo.convert.readers.torch_files import read_torch


def dumped(tmp_path, value, protocol=2):
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    return tmp_path / "file.pkl"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool", ">f4"])
def test_arrays_come_out_as_they_are(tmp_path, protocol, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = read_pickle(dumped(tmp_path, {"a": {"b": array, "c": [array.T]}, "n": 3, "s": np.float32(2)}, protocol))
    assert found.keys() == {"a.b", "a.c.[0]"}
    assert np.array_equal(found["a.b"].numpy(), array) and np.array_equal(found["a.c.[0]"].numpy(), array.T)


def test_arrays_of_objects_are_refused(tmp_path):
    with raises(ConversionError, "pickle-array-type", match=r"object|'O8'"):
        read_pickle(dumped(tmp_path, np.array([{"x": 1}], dtype=object)))


class Runs:
    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize(
    "function", [eval, exec, getattr, __import__, open, print], ids=lambda function: function.__name__
)
def test_no_function_is_called(tmp_path, function, capsys):
    with raises(ConversionError, "file-needs-code"):
        read_pickle(dumped(tmp_path, [Runs(function, "print('medzoo')")]))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "module", ["os", "posix", "nt", "subprocess", "sys", "builtins", "torch.hub", "torch", "numpy", "importlib"]
)
def test_names_that_are_no_stand_in(tmp_path, module):
    for name in ("system", "run", "load", "__import__", "testing", "modules"):
        (tmp_path / "file.pkl").write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b".")
        with raises(ConversionError, "file-needs-code"):
            read_pickle(tmp_path / "file.pkl")


def test_dotted_names_do_not_reach_through_a_stand_in(tmp_path):
    """Protocol 4 allows names with dots; they are looked up in the same table, whole."""
    for module, name in (("collections", "OrderedDict.__init__.__globals__"), ("argparse", "Namespace.__class__")):
        raw = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93."
        (tmp_path / "file.pkl").write_bytes(raw)
        with raises(ConversionError, "file-needs-code"):
            read_pickle(tmp_path / "file.pkl")


def test_stand_ins_do_nothing(tmp_path, monkeypatch):
    """A class of research code keeps what it was given; its own code is not there and is not looked for."""
    package = types.ModuleType("optax")
    state = collections.namedtuple("TraceState", ["trace"])
    state.__module__, state.__qualname__ = "optax._src.transform", "TraceState"
    inner = types.ModuleType("optax._src.transform")
    inner.TraceState = state
    for name, module in (
        ("optax", package),
        ("optax._src", types.ModuleType("optax._src")),
        ("optax._src.transform", inner),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    file = dumped(tmp_path, {"opt": state({"w": np.ones(2, "f4")}), "w": np.zeros(2, "f4")})
    monkeypatch.undo()
    found = read_pickle(file)
    assert torch.equal(found["w"], torch.zeros(2)) and len(found) == 2  # the optimiser's numbers lie below `opt`


@pytest.mark.parametrize("name", ["frozendict", "FlatMapping", "FlatMap"])
def test_haikus_mappings_are_their_dictionaries(tmp_path, monkeypatch, name):
    """Haiku's parameters were no plain dictionaries until 2021; each class pickles as itself and a dictionary."""

    class Frozen(collections.abc.Mapping):
        def __init__(self, rows):
            self.rows = rows

        def __getitem__(self, key):
            return self.rows[key]

        def __iter__(self):
            return iter(self.rows)

        def __len__(self):
            return len(self.rows)

        def __reduce__(self):
            return Frozen, (self.rows,)

    module = types.ModuleType("haiku._src.data_structures")
    setattr(module, name, Frozen)
    Frozen.__module__, Frozen.__qualname__ = module.__name__, name
    for part in ("haiku", "haiku._src"):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    file = dumped(tmp_path, {"params": Frozen({"net/~/conv": Frozen({"w": np.ones(2, "f4")})})})
    monkeypatch.undo()
    assert read_pickle(file).keys() == {"params.net/~/conv.w"}


def test_named_tuples_that_dill_describes(tmp_path, monkeypatch):
    """dill writes a class that it cannot import as a call: its name, its fields and its module."""
    dill = types.ModuleType("dill._dill")

    def _create_namedtuple(name, fields, module, defaults=None):
        return collections.namedtuple(name, fields)

    dill._create_namedtuple = _create_namedtuple
    _create_namedtuple.__module__, _create_namedtuple.__qualname__ = "dill._dill", "_create_namedtuple"
    monkeypatch.setitem(sys.modules, "dill", types.ModuleType("dill"))
    monkeypatch.setitem(sys.modules, "dill._dill", dill)
    State = collections.namedtuple("State", ["online_params", "opt_state"])

    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            if value is State:
                return _create_namedtuple, ("State", ("online_params", "opt_state"), "__main__", None)
            return NotImplemented

    with (tmp_path / "file.pkl").open("wb") as file:
        Pickler(file, protocol=2).dump({"experiment_state": State({"w": np.ones(2, "f4")}, None)})
    monkeypatch.undo()
    assert read_pickle(tmp_path / "file.pkl").keys() == {"experiment_state.online_params.w"}


def test_many_references_to_one_list_end_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("medzoo.zoo.convert.readers.pickles.OBJECTS", 10_000)
    value = [0] * 10
    for _ in range(9):
        value = [value] * 10
    with raises(ConversionError, "too-many-objects"):
        read_pickle(dumped(tmp_path, value))


def test_a_list_that_holds_itself(tmp_path):
    value = [np.zeros(1, "f4")]
    value.append(value)
    assert "[0]" in read_pickle(dumped(tmp_path, value))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pickle_or_an_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("p") / "file.pkl"
    path.write_bytes(b"\x80\x02" + raw)
    with pytest.raises(ConversionError):
        read_tensors(path)


@pytest.mark.parametrize("legacy", [True, False])
def test_options_of_research_code(tmp_path, legacy):
    import pathlib

    value = {
        "model": {"w": torch.ones(2)}, "epoch": np.int64(3), "best": np.float64(0.5),
        "args": argparse.Namespace(out=pathlib.PurePosixPath("x"), device=torch.device("cpu"), kind=torch.half, inf=float("inf")),
    }  # fmt: skip
    torch.save(value, tmp_path / "file.pth", _use_new_zipfile_serialization=not legacy)
    assert {key: tensor.tolist() for key, tensor in read_torch(tmp_path / "file.pth").items()} == {"model.w": [1, 1]}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
        self.register_buffer("kept", torch.ones(3))
        self.register_buffer("computed", torch.ones(3), persistent=False)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("package", ["torchxrayvision.models", "somebody.models"])
def test_whole_pickled_networks(tmp_path, monkeypatch, legacy, package):
    """The tensors of a known package's network are those of state_dict(); another's are refused by name."""
    module = types.ModuleType(package)
    module.Net = Net
    for part in (package.partition(".")[0], package):
        monkeypatch.setitem(sys.modules, part, module)
    monkeypatch.setattr(Net, "__module__", package)
    model = Net()
    torch.save(model, tmp_path / "net.pt", _use_new_zipfile_serialization=not legacy)
    if package.startswith("somebody"):
        with raises(ConversionError, "file-needs-code"):
            read_torch(tmp_path / "net.pt")
    else:
        found = read_torch(tmp_path / "net.pt")
        assert found.keys() == model.state_dict().keys()
        assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in found.items())


@pytest.mark.real
@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickled_network_as_torchxrayvision_publishes_it(tmp_path, legacy):
    file = builder().build("torchxrayvision-densenet121", tmp_path / "net.pt", legacy)
    assert {row[0] for row in builder().manifest("torchxrayvision-densenet121")["tensors"]} == set(read_torch(file))
