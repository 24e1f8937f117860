"""Files of torch.save, zip or legacy: torch's own safe reader, and for what it refuses ours that knows inert stand-ins."""

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

    torch's weights_only reader comes first. It refuses objects beside the tensors (argparse.Namespace, yacs' CfgNode) and
    whole pickled networks; those are read once more with the stand-ins of `pickles`, whose classes do nothing.

    Args:
        path: the file.

    Raises:
        ConversionError: if it is damaged, or names code that has no stand-in.
    """
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        loaded = _with_stand_ins(path)
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise _damaged(path, error) from error
    return pickles.tensors_in(loaded, path)


def _with_stand_ins(path: Path) -> Any:  # noqa: ANN401
    import torch

    try:
        with (
            warnings.catch_warnings()
        ):  # torch compares a pickled class' source with its stand-in's, which means nothing
            warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
            # the pickle module below resolves no name but those of its own short table
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=pickles.RESTRICTED)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from error
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ConversionError:
    first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return ConversionError(f"{path} is no readable torch file: {first} Download it again.")
