"""What a task family, an objective and an analysis keep, beyond what mypy sees in tests/typed_contracts.py."""

import dataclasses
import inspect

import torch
from tiny import TinyNet, tiny_swin, tiny_vit

from medzoo.analysis.inputs.inputs import USES
from medzoo.errors import UsageError
from medzoo.training.objectives import method
from medzoo.training.pretraining.teacher import Teacher
from medzoo.training.trainable import Trainable

# options of methods that must resume exactly and compute the same over processes, in addition to the defaults
VARIANTS = {
    "swav-queue": ("swav", {"queue": 24, "queue_epoch": 0, "frozen_prototype_epochs": 0}),
    "simclr-radnet": ("simclr", {"projection_layers": 3, "projection_norm": False, "last_activation": "sigmoid"}),
}
TEST_ONLY = {"medzoo.data.tasks.medmnist": {"check_md5"}}  # keyword arguments that no user reaches


def check_family(family):
    """`load` takes exactly its choices and the options of TAKES, with the defaults that CHOICES states."""
    assert family.TASKS and all(info.name == name for name, info in family.TASKS.items())
    parameters = inspect.signature(family.load).parameters
    assert not any(one.kind == one.VAR_KEYWORD for one in parameters.values()), "**kwargs hide what load takes"
    defaults = {name: one.default for name, one in parameters.items() if one.kind == one.KEYWORD_ONLY}
    options = {name for name, taken in dataclasses.asdict(family.TAKES).items() if taken}
    if any(name.endswith(":PATH") for name in family.TASKS):
        options.add("path")
    assert set(defaults) == {*family.CHOICES, *options, *TEST_ONLY.get(family.__name__, ())}
    assert not options & set(family.CHOICES)
    assert all(not defaults[name] for name in options), "an option is off by default"
    for name, choice in family.CHOICES.items():
        assert defaults[name] == choice.default
        if isinstance(choice.values, tuple):
            assert len(set(choice.values)) == len(choice.values) > 1
            assert all(isinstance(word, str) and word for word in choice.values)
            assert choice.default is None or choice.default in choice.values
        else:
            assert callable(choice.values)
    assert family.TAKES.label_policy == any(info.uncertain for info in family.TASKS.values()) or "path" in options


def check_options(kind):
    """Frozen, with a help line for each field and a usable default."""
    assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen
    assert all(field.metadata.get("help") for field in dataclasses.fields(kind))
    return kind()


def small_options(module):
    """The default options with small layers."""
    options = module.Options()
    wide = {
        one.name: 16
        for one in dataclasses.fields(options)
        if isinstance(getattr(options, one.name), int) and getattr(options, one.name) > 64
    }
    return dataclasses.replace(options, **wide)


def case_of(name):
    """The module and the small options of a method or of one of VARIANTS."""
    base, changes = VARIANTS.get(name, (name, {}))
    module = method(base)
    return module, dataclasses.replace(small_options(module), **changes)


def net_for(module, outputs=8, net=TinyNet):
    """The smallest network that an objective can train: a CNN, else a vision transformer with 16 patches, else a Swin."""
    for make in (net, tiny_vit, tiny_swin):
        backbone = make(3 if module.SUPERVISED else outputs)
        try:
            module.check(backbone, small_options(module), 16, 64)
        except UsageError as error:
            if error.code != "architecture-not-for-method":
                raise
        else:
            return backbone
    raise AssertionError("no tiny network can be trained; add one here")


def check_objective(module, net, make_batches):
    """Its loss has a gradient for the backbone, which stays the one it was given; all other values are scalars."""
    options = check_options(module.Options)
    views = module.views(options)
    assert views and all(one.augmentation.min_area <= 1 and 0 < one.share <= 1 for one in views)
    backbone = net_for(module, net=net)
    objective = module.Objective(backbone, small_options(module), "multiclass").train()
    assert isinstance(objective, Trainable) and objective.backbone is backbone
    assert list(inspect.signature(objective.forward).parameters) == ["batch", "step"]
    objective.start(steps=20, epoch_steps=4, seed=0)
    batch = make_batches(views)[0]
    values = objective(batch, 0)
    values["loss"].backward()
    assert all(isinstance(value, torch.Tensor) and value.ndim == 0 for value in values.values())
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in backbone.parameters())
    teachers = {id(value) for part in objective.modules() if isinstance(part, Teacher) for value in part.parameters()}
    for name, value in objective.named_parameters():
        assert (id(value) in teachers) <= (not value.requires_grad), f"the optimizer would change the teacher's {name}"
    objective.before_update(0)
    objective.after_update(0)
    pictures = objective.pictures(batch, 0)
    assert pictures and all(images.ndim == 4 and images.shape[1] == 3 for images in pictures.values())


def check_analysis(module):
    """Its options have help lines and defaults; its texts are there, and it says what decides its numbers."""
    check_options(module.Options)
    assert list(inspect.signature(module.run).parameters) == ["inputs", "options"]
    assert list(inspect.signature(module.plot).parameters) == ["rows"]
    assert list(inspect.signature(module.table).parameters) == ["rows"]
    assert list(inspect.signature(module.sentence).parameters) == ["rows"]
    assert module.TITLE and module.QUESTION.endswith("?") and module.USES and set(module.USES) <= set(USES)
