"""Read pickles with an unpickler that imports nothing: it accepts a short table of names and refuses all others.

Numbers become tensors. Other objects that research code stores in its files (options, optimiser states, whole networks)
become inert stand-ins, which store their arguments and state and run nothing.
"""

from __future__ import annotations

import collections
import pickle
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

NESTING = 24  # levels; a network's modules are nested deeper than its keys have dots
OBJECTS = 2_000_000  # the optimiser state of a large network has some thousands
DTYPE = re.compile(r"[<>=|]?[biufc]\d{1,2}")


class StandIn:
    """Replaces any class or function; stores arguments and state, and runs nothing."""

    arguments: tuple[object, ...]

    def __new__(cls, *arguments: object, **_: object) -> StandIn:
        """Accepts any arguments."""
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, _: object) -> None:
        """For pickles that fill a list."""

    def __setitem__(self, key: object, value: object) -> None:
        self.__dict__.setdefault("items", {})[key] = value

    def content(self) -> object:
        """The state, items and arguments that it was given."""
        return [self.__dict__.get("state"), self.__dict__.get("items"), self.arguments]


class ModuleStandIn(StandIn):
    """Replaces a torch.nn.Module: its tensors are those of state_dict(), under the same names."""

    dump_patches = False  # torch's reader of old files would otherwise write to the disk

    def content(self) -> object:
        """The parameters, buffers and child modules, as torch stores them."""
        state = self.__dict__.get("state")
        if not isinstance(state, dict):
            return None
        left_out = state.get("_non_persistent_buffers_set") or ()
        buffers = {name: row for name, row in (state.get("_buffers") or {}).items() if name not in left_out}
        return {**(state.get("_parameters") or {}), **buffers, **(state.get("_modules") or {})}


class MappingStandIn(StandIn):
    """Replaces an immutable mapping, which is pickled as its class and a dictionary, by that dictionary."""

    def content(self) -> object:
        """The dictionary."""
        return self.arguments[0] if self.arguments and isinstance(self.arguments[0], Mapping) else super().content()


class ArrayStandIn:
    """Replaces numpy.ndarray while an array is rebuilt; accepts only plain numbers."""

    array: np.ndarray[Any, Any]

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        import numpy as np

        *_, shape, dtype, fortran, raw = state
        if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, DtypeStandIn):
            raise ConversionError("an array holds Python objects; reading them needs code.", code="pickle-object-array")
        flat = np.frombuffer(bytes(raw), dtype.numpy())
        self.array = flat.reshape(tuple(shape), order="F" if fortran else "C").copy()


class DtypeStandIn:
    """Replaces numpy.dtype."""

    def __init__(self, name: str, *_: object) -> None:
        if not (isinstance(name, str) and DTYPE.fullmatch(name)):
            raise ConversionError(f"an array has the type {name!r}, which is not numeric.", code="pickle-array-type")
        self.name, self.order = name.lstrip("<>=|"), "="

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        self.order = "=" if state[1] not in ("<", ">") else state[1]

    def numpy(self) -> np.dtype[Any]:
        """The NumPy type."""
        import numpy as np

        return np.dtype(self.order + self.name)


def _empty_array(*_: object) -> ArrayStandIn:
    return ArrayStandIn()


def _scalar(dtype: DtypeStandIn, raw: bytes) -> float | int | bool:
    import numpy as np

    number: float = np.frombuffer(raw, dtype.numpy())[0].item()
    return number


def _from_buffer(raw: object, dtype: object, shape: object, order: str) -> ArrayStandIn:
    array = ArrayStandIn()
    array.__setstate__((shape, dtype, order == "F", raw))
    return array


def _array_from_call(_: object, arguments: object, state: object, *__: object) -> ArrayStandIn:
    """An array of dill or jax: numpy's function, its arguments, its state."""
    array = ArrayStandIn()
    array.__setstate__(state)
    return array


def _named_tuple(*fields: str) -> type:
    def make(_: type, *values: object) -> dict[str, object]:
        return dict(zip(fields, values, strict=False))

    return type("NamedTupleStandIn", (), {"__new__": make})


def _create_named_tuple(_: object, fields: object, *__: object) -> type:
    """A named tuple of a module that dill does not import: name, fields, module, defaults."""
    names = fields.split() if isinstance(fields, str) else fields
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConversionError("a named tuple has no field names.", code="pickle-damaged")
    return _named_tuple(*names)


def _byte_string(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ConversionError(f"bytes are encoded as {encoding!r}, not as latin1.", code="pickle-encoding")
    return text.encode("latin1")


def _codec(text: str, encoding: str = "latin1", *_: object) -> bytes:
    return _byte_string(text, encoding)


BYOL_STATE = _named_tuple("online_params", "target_params", "online_state", "target_state", "opt_state")
# the replacement of each (module, name) that files of the formats in zoo/convert/formats use
TABLE: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): StandIn,
    ("builtins", "set"): set, ("__builtin__", "set"): set, ("builtins", "slice"): StandIn,
    ("_codecs", "encode"): _codec,
    ("argparse", "Namespace"): StandIn,
    ("yacs.config", "CfgNode"): collections.OrderedDict,
    ("pathlib", "PosixPath"): StandIn, ("pathlib", "PurePosixPath"): StandIn, ("pathlib", "WindowsPath"): StandIn,
    ("pathlib._local", "PosixPath"): StandIn,
    ("numpy", "ndarray"): ArrayStandIn, ("numpy", "dtype"): DtypeStandIn,
    ("byol.byol_experiment", "_ByolExperimentState"): BYOL_STATE,
    ("byol_experiment", "_ByolExperimentState"): BYOL_STATE,
    ("dill._dill", "_create_array"): _array_from_call, ("dill.dill", "_create_array"): _array_from_call,
    ("jax._src.array", "_reconstruct_array"): _array_from_call,
    ("jax._src.device_array", "reconstruct_device_array"): _array_from_call,
    ("jax.interpreters.xla", "reconstruct_device_array"): _array_from_call,
    ("dill._dill", "_create_namedtuple"): _create_named_tuple, ("dill.dill", "_create_namedtuple"): _create_named_tuple,
    ("torch.serialization", "_get_layout"): StandIn,
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): StandIn,  # in modules of torch before 1.4
}  # fmt: skip
# Haiku's parameters, in the file of 2020. Source: https://github.com/google-deepmind/dm-haiku/blob/main/haiku/_src/data_structures.py
TABLE |= {("haiku._src.data_structures", name): MappingStandIn for name in ("frozendict", "FlatMapping", "FlatMap")}
for _core in ("numpy.core", "numpy._core"):
    TABLE |= {
        (f"{_core}.multiarray", "_reconstruct"): _empty_array, (f"{_core}.multiarray", "scalar"): _scalar,
        (f"{_core}.numeric", "_frombuffer"): _from_buffer,
    }  # fmt: skip
# packages whose classes become stand-ins, and torch's functions that only build a tensor
STAND_INS = {
    "torchxrayvision": ModuleStandIn, "torchvision.models": ModuleStandIn, "torch.nn.modules": ModuleStandIn,
    "byol": StandIn, "optax": StandIn, "haiku": StandIn, "jax": StandIn,
}  # fmt: skip
TORCH_REBUILDS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")


class RestrictedUnpickler(pickle.Unpickler):
    """Finds only the names in the table."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """The stand-in for a class or function.

        Raises:
            ConversionError: for every other name; nothing is imported.
        """
        if (module, name) in TABLE:
            return TABLE[module, name]
        if module == "torch._utils" and name in TORCH_REBUILDS:
            import torch

            return getattr(torch._utils, name)
        if module == "torch":
            import torch

            if name in ("Size", "device"):
                return tuple if name == "Size" else StandIn
            if isinstance(found := getattr(torch, name, None), torch.dtype):
                return found
        if module.startswith("numpy.dtypes") or (module == "numpy" and name.startswith(("float", "int"))):
            return StandIn
        for package, stand_in in STAND_INS.items():
            if module == package or module.startswith(f"{package}."):
                return stand_in
        raise ConversionError(
            f"Reading it needs code ({module}.{name}), which medzoo does not run. Open the file in a sandbox, and save its "
            "tensors with safetensors.torch.save_file.",
            code="file-needs-code",
        )


RESTRICTED = types.ModuleType("restricted_pickle")  # torch.load uses it as its pickle module
RESTRICTED.Unpickler = RestrictedUnpickler  # type: ignore[attr-defined]
RESTRICTED.load = lambda file, **options: RestrictedUnpickler(file, **options).load()  # type: ignore[attr-defined]
RESTRICTED.UnpicklingError = pickle.UnpicklingError  # type: ignore[attr-defined]


def read_pickle(path: Path) -> dict[str, Tensor]:
    """All arrays of a plain pickle (of any protocol, also dill's), as tensors by dotted path.

    Args:
        path: the file.

    Raises:
        ConversionError: if it is damaged, or uses a class or function without a stand-in.
    """
    with path.open("rb") as file:
        try:
            loaded = RestrictedUnpickler(file).load()
        except ConversionError as error:
            raise ConversionError(f"{path}: {error}", code=error.code) from error
        except Exception as error:  # a damaged pickle can cause any error
            reason = str(error).strip() or type(error).__name__
            raise ConversionError(
                f"{path} is not a readable pickle of arrays: {reason[:300]}. Download it again.", code="pickle-damaged"
            ) from error
    return tensors_in(loaded, path)


def tensors_in(loaded: object, path: Path) -> dict[str, Tensor]:
    """All tensors and arrays of a loaded object, by dotted path; numbers and texts are left out.

    Args:
        loaded: nested mappings, lists, stand-ins.
        path: its file, for the message.

    Raises:
        ConversionError: if it holds too many objects for a checkpoint.
    """
    tensors: dict[str, Tensor] = {}
    for count, (key, value) in enumerate(_walk(loaded, "", 0)):
        if count > OBJECTS:
            raise ConversionError(
                f"{path} holds more than {OBJECTS} objects; it is not a weights file.", code="too-many-objects"
            )
        if value is not None:
            tensors[key] = value
    return tensors


def _walk(value: object, at: str, depth: int) -> Iterator[tuple[str, Tensor | None]]:
    import torch

    yield at, None  # counted
    if isinstance(value, torch.Tensor):
        yield at, value.detach()
    elif isinstance(value, ArrayStandIn):
        if "array" in value.__dict__:
            yield at, torch.from_numpy(value.array.astype(value.array.dtype.newbyteorder("=")))
    elif depth < NESTING:
        if isinstance(value, StandIn):
            value = value.content()
        if isinstance(value, Mapping):
            for key, row in value.items():
                yield from _walk(row, f"{at}.{key}" if at else str(key), depth + 1)
        elif isinstance(value, list | tuple):
            for index, row in enumerate(value):
                yield from _walk(row, f"{at}.[{index}]" if at else f"[{index}]", depth + 1)
