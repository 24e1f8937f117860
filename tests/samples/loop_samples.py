"""A short training plan and what tests of the loop compare."""

import torch
from contract_samples import case_of, net_for

from medzoo.training.loop import Loop
from medzoo.training.optimization.plan import TrainingPlan

PLAN = TrainingPlan(
    epochs=3, optimizer="adamw", learning_rate=3e-3, weight_decay=0.05, warmup_epochs=0.5, gradient_clip=1.0, seed=0
)
STEPS = 12  # 22 images, batches of 5: 4 steps an epoch

# what a plan may change, each of which has to resume exactly
CHANGES = {
    "frozen-then-unfrozen": {"frozen_epochs": 1, "frozen_learning_rate": 0.01},
    "head-only": {"train_blocks": 0},
    "average": {"ema": 0.9},
    "plateau": {"schedule": "plateau", "plateau_epochs": 0, "decay": 0.1},
    "exponential": {"schedule": "exponential", "decay": 0.5},
    "early-stop": {"patience": 1, "monitor": "loss"},
    "all": {
        "frozen_epochs": 1,
        "ema": 0.8,
        "schedule": "plateau",
        "plateau_epochs": 0,
        "patience": 1,
        "optimizer": "lars",
    },
}


def fit(*given, **options):
    """A training from its last state to its end."""
    return Loop(*given, **options).fit()


def objective_of(name, net):
    """An objective of a tiny network and its views, by the name of a method or of a variant.

    `net(outputs)` makes the network where the method takes any.
    """
    module, options = case_of(name)
    torch.manual_seed(0)
    return module.Objective(net_for(module, net=net), options, "multiclass"), module.views(options)


def same_weights(one, two):
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
