"""Files of torch.save, zip or legacy: torch's safe reader first, then medzoo's with inert stand-ins for other classes."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError
from medzoo.zoo.convert.readers import pickles

if TYPE_CHECKING:
    from torch import Tensor


def read_torch(path: Path) -> dict[str, Tensor]:
    """All tensors of a torch file, by dotted path.

    torch's weights_only reader comes first. It refuses other objects than tensors (argparse.Namespace, yacs' CfgNode) and
    whole pickled networks; such files are read again with the stand-in classes of `pickles`, which run no code.

    Args:
        path: the file.

    Raises:
        ConversionError: if it is damaged, or uses a class or function without a stand-in.
    """
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        loaded = _with_stand_ins(path)
    except Exception as error:  # a damaged file can cause any error
        raise _damaged(path, error) from error
    return pickles.tensors_in(loaded, path)


def _with_stand_ins(path: Path) -> Any:  # noqa: ANN401
    import torch

    try:
        with warnings.catch_warnings():
            # torch compares the source of a pickled class with that of its stand-in
            warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
            # the restricted pickle module finds only the names in its table
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=pickles.RESTRICTED)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}", code=error.code) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ConversionError:
    first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return ConversionError(
        f"{path} is not a readable torch file: {first} Download it again.", code="torch-file-unreadable"
    )
