"""What a task family, an objective and an analysis keep, beyond what mypy sees in tests/typed_contracts.py."""

import dataclasses
import inspect

import torch
from torch import nn

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


def check_objective(module, net, make_batches):
    """Its loss has a gradient for the backbone, which stays the one it was given; all other values are scalars."""
    options = check_options(module.Options)
    assert module.VIEWS >= 1 and module.views(options).min_area <= 1
    backbone = net(3 if module.SUPERVISED else 8)
    objective = module.Objective(backbone, options, "multiclass").train()
    assert isinstance(objective, nn.Module) and objective.backbone is backbone
    assert list(inspect.signature(objective.forward).parameters) == [
        "batch",
        "step",
    ]  # nn.Module has a forward of its own
    values = objective(make_batches(module.VIEWS)[0], 0)
    values["loss"].backward()
    assert all(isinstance(value, torch.Tensor) and value.ndim == 0 for value in values.values())
    assert all(parameter.grad is not None for parameter in objective.backbone.conv.parameters())


def check_analysis(module):
    """Its options have help lines and defaults."""
    check_options(module.Options)
    assert list(inspect.signature(module.run).parameters) == ["options"]
    assert list(inspect.signature(module.plot).parameters) == ["rows"]
