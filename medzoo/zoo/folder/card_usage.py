"""The examples of a card: code that loads a checkpoint with medzoo, timm and transformers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medzoo.zoo.folder.card import render_entry
from medzoo.zoo.registry.checkpoint import Checkpoint

_BLOCK = re.compile(r"(?:^(timm|transformers)[^\n]*:\n\n)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class CodeExamples:
    """Python code for each library; a library without an example cannot read the weights.

    Args:
        medzoo: loads the network and its transform.
        timm: loads the network; empty for random weights, which have no file.
        transformers: loads the network; empty for random weights.
        note: what the code of timm and transformers does not do.
    """

    medzoo: str
    timm: str = ""
    transformers: str = ""
    note: str = ""


def code_examples(entry: Checkpoint) -> CodeExamples:
    """The examples of a named checkpoint's card.

    Args:
        entry: its facts.

    >>> from medzoo.zoo.registry.registry import info
    >>> print(code_examples(info("resnet50-random")).medzoo)
    import medzoo
    <BLANKLINE>
    model = medzoo.load("resnet50-random")
    transform = medzoo.transform(model)  # any image → the model's input tensor
    """
    card = render_entry(entry)
    use = card.partition("\n## Use\n")[2].partition("\n## Input\n")[0]
    blocks = {name or "medzoo": code.strip() for name, code in _BLOCK.findall(use)}
    return CodeExamples(**blocks, note=use.rpartition("```")[2].strip())
