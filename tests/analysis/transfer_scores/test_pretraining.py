"""The domain of a checkpoint's pre-training."""

import pytest
from expect import raises

from medzoo.analysis.transfer_scores.pretraining import given_facts, pretraining_facts, task_modality
from medzoo.data.task_registry import task_info
from medzoo.errors import UsageError


@pytest.mark.parametrize(
    ("name", "modality", "domain"),
    [
        ("resnet50-random", "X-ray", "random"),
        ("resnet50-imagenet", "X-ray", "cross"),
        ("resnet50-imagenet", "natural", "intra"),
        ("resnet50-imagenet-chestxray14", "X-ray", "mixed"),
        ("resnet50-radimagenet", "CT", "intra"),
        ("resnet50-radimagenet", "X-ray", "cross"),
        ("resnet50-imagenet", "", "unknown"),
        ("resnet18-simclr-our_hospital", "X-ray", "unknown"),
        ("resnet18-simclr-phantom_chest", "X-ray", "intra"),
        ("resnet18-imagenet-simclr-phantom_chest", "X-ray", "mixed"),
    ],
)
def test_domains(name, modality, domain):
    assert pretraining_facts(name, modality, {}).domain == domain


def test_given_facts_come_first():
    given = given_facts(["resnet50-imagenet=CXR+MR:500"])
    found = pretraining_facts("resnet50-imagenet", "X-ray", given)
    assert (found.domain, found.modalities, found.images) == ("intra", ("X-ray", "MR"), 500)


@pytest.mark.parametrize("text", ["", "name", "name=", "=CT", "name=CT:", "name=CT:many", "name=CT+"])
def test_other_forms(text):
    with raises(UsageError, "pretraining-fact-invalid"):
        given_facts([text])


def test_modality_of_a_task():
    assert task_modality(task_info("pneumoniamnist"), None) == "X-ray"
    assert task_modality(task_info("pneumoniamnist"), "US") == "ultrasound"
