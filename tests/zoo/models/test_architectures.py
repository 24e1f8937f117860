import json

import pytest
import timm

import medzoo.zoo.variants  # noqa: F401
from medzoo.zoo.models import architectures
from medzoo.zoo.registry import registry


def test_the_committed_file_is_what_the_code_computes():
    stored = json.loads(architectures.FILE.read_text())
    assert stored == json.loads(json.dumps(architectures.compute_all())), (
        "run python -m medzoo.zoo.models.architectures"
    )


@pytest.mark.parametrize("name", registry.names())
def test_timm_knows_the_architecture(name):
    assert timm.is_model(registry.info(name).architecture)
