"""Fine-tuning does what the protocol says: its options arrive, the selected weights stay, and nothing is drawn when it predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import decoded_rows

from medzoo.training import finetune
from medzoo.training.finetune import FineTuner
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.run_state.run_folder import RunFolder

PLAIN = Protocol(name="t", mode="finetune", epochs=3, batch_size=6, learning_rate=3e-3, precision="fp32")


@pytest.fixture
def net(tiny_net):
    """TinyNet with the configuration that every network of the zoo has."""

    def make(outputs=3):
        model = tiny_net(outputs)
        model.pretrained_cfg = {
            "mean": (0.4, 0.5, 0.6),
            "std": (0.2, 0.3, 0.4),
            "input_size": (3, 16, 16),
            "first_conv": "conv",
        }
        return model

    return make


def tuned(folder, model, protocol, score=lambda labels, probabilities: 0.0, seed=0, kind="multiclass", data=None):
    tuner = FineTuner(model, kind, ["a", "b", "c"], protocol, size=16, device="cpu")
    train, validation = data or (decoded_rows(), decoded_rows(9))
    with RunFolder(folder, "finetune", {}, {}).open() as run:
        fitted = tuner.fit(tuner.loop(train, validation, run, seed=seed, num_workers=0, score=score))
    return tuner, fitted


def copied(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("selection", "scores", "kept"),
    [
        ("best", [0.2, 0.9, 0.1], 1),
        ("best", [0.7, 0.7, 0.7], 0),
        ("best", [0.1, 0.2, 0.3], 2),
        ("last", [0.2, 0.9, 0.1], 2),
    ],
)
def test_the_weights_of_the_selected_epoch_stay_in_the_model(tmp_path, net, selection, scores, kept):
    """With the running statistics of that epoch, which no optimizer touches."""
    model, seen, left = net(), [], iter(scores)

    def score(labels, probabilities):
        seen.append(copied(model))
        return next(left)

    _, fitted = tuned(tmp_path, model, replace(PLAIN, selection=selection), score)
    assert [same(model.state_dict(), state) for state in seen] == [number == kept for number in range(3)]
    assert fitted.best_epoch == max(range(3), key=lambda epoch: (scores[epoch], -epoch)) and fitted.scores == scores


def test_the_score_sees_the_validation_split_in_evaluation_mode(tmp_path, net):
    """Labels and probabilities of every validation row, in order; neither dropout nor batch statistics in them."""
    model, validation, seen = net(), decoded_rows(9), []

    def score(labels, probabilities):
        with torch.inference_mode():
            unit = torch.from_numpy(validation.images / 255.0).float()[:, None].expand(-1, 3, -1, -1)
            mean, std = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
            expected = model.eval()((unit - mean) / std).double().softmax(1)
        seen.append(np.abs(probabilities - expected.numpy()).max())
        assert (labels == validation.labels).all()
        return 0.0

    tuned(tmp_path, model, PLAIN, score, data=(decoded_rows(), validation))
    assert len(seen) == 3 and max(seen) < 1e-6


def test_every_epoch_trains_in_training_mode(tmp_path, net):
    """The evaluation between two epochs leaves nothing behind: dropout and batch statistics go on."""
    model, modes, statistics = net(), [], []
    model.norm.register_forward_hook(lambda module, given, made: modes.append(module.training))
    tuned(tmp_path, model, PLAIN, lambda *_: statistics.append(model.norm.running_mean.clone()) or 0.0)
    assert modes == [True] * 3 + [False] + [True] * 3 + [False] + [True] * 3 + [False]
    assert not torch.equal(statistics[0], statistics[1]) and not torch.equal(statistics[1], statistics[2])


AUGMENTATION = {
    "min_area": 0.5, "flip": 0.25, "brightness": 0.1, "contrast": 0.2, "rotation": 15.0, "crop": 0.7, "shift": 0.1, "shear": 5.0,
    "zoom": 0.2, "saturation": 0.3, "tone": 0.6, "blur": 0.4,
    "hue": 0.1, "gamma": 0.3, "gamma_chance": 0.3, "sharpen": 0.3, "distort": 0.4, "grey": 0.1,
}  # fmt: skip
PLAN = {
    "epochs": 2,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 0.3,
    "warmup_epochs": 0.5,
    "gradient_clip": 0.7,
}


def test_every_option_of_the_protocol_arrives(tmp_path, net, monkeypatch):
    seen = {}

    class Watched(finetune.Batches):
        def __init__(self, data, augmentation, convention, **options):
            seen.update(augmentation=augmentation, convention=convention, **options)
            super().__init__(data, augmentation, convention, **options)

    class Loop(finetune.Loop):
        def __init__(self, objective, batches, plan, *rest, **options):
            seen.update(plan=plan, smoothing=objective.loss.label_smoothing)
            super().__init__(objective, batches, plan, *rest, **options)

    monkeypatch.setattr(finetune, "Batches", Watched)
    monkeypatch.setattr(finetune, "Loop", Loop)
    tuned(tmp_path, net(), replace(PLAIN, **AUGMENTATION, **PLAN, label_smoothing=0.2), seed=5)
    assert {key: getattr(seen["augmentation"], key) for key in AUGMENTATION} == AUGMENTATION
    assert {key: getattr(seen["plan"], key) for key in PLAN} == PLAN
    assert (seen["smoothing"], seen["batch_size"], seen["size"]) == (0.2, 6, 16)
    assert (seen["seed"], seen["plan"].seed) == (5, 5)  # of order and augmentation, and of noise
    assert seen["convention"].mean == (0.4, 0.5, 0.6) and seen["convention"].std == (0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    "change", [{"label_smoothing": 0.3}, {"flip": 0.9}, {"rotation": 30.0}, {"min_area": 0.3}, {"warmup_epochs": 0.0}]
)
def test_an_option_changes_what_is_learnt(tmp_path, net, change):
    (one, _), (other, _) = (tuned(tmp_path / str(k), net(), p) for k, p in enumerate((PLAIN, replace(PLAIN, **change))))
    assert not same(one.model.state_dict(), other.model.state_dict())


@pytest.mark.parametrize("given", ["balanced", (1.0, 0.001, 2.0)])
def test_a_list_of_weights_counts_for_both_answers_of_a_label(tmp_path, net, given, monkeypatch):
    """A label with a small weight is nearly left out; "balanced" makes both answers of each label equal in total."""
    used = []
    losses = finetune.FineTuner._validation_loss
    monkeypatch.setattr(
        finetune.FineTuner, "_validation_loss", lambda self, *a: used.append(losses(self, *a)) or used[-1]
    )
    labels = np.eye(3, dtype=np.float32)[decoded_rows().labels]
    rows = replace(decoded_rows(), labels=labels)
    protocol = replace(PLAIN, class_weights=given, epochs=1, label_smoothing=0.1)
    tuner, _ = tuned(tmp_path, net(), protocol, kind="multilabel", data=(rows, rows))
    logits, target = tuner._logits(rows, None), torch.from_numpy(labels).double()
    weights = torch.tensor([2.0] * 3 if given == "balanced" else given, dtype=torch.float64)
    assert tuner.loss.weights == pytest.approx(weights.tolist(), rel=0.2)
    kind = "pos_weight" if given == "balanced" else "weight"
    exact = {kind: torch.tensor(tuner.loss.weights, dtype=torch.float64)}
    expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits).double(), target, **exact)
    assert used == [pytest.approx(float(expected), rel=1e-6)]  # of validation, without label smoothing


def test_probabilities_are_a_softmax_over_classes_or_a_sigmoid_a_label(net):
    def probabilities(logits, kind):
        return FineTuner(net(2), kind, ["a", "b"], PLAIN, size=16, device="cpu").outputs(logits)

    logits = np.array([[0.0, np.log(3.0)], [2.0, 2.0]], np.float32)
    assert probabilities(logits, "binary") == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    assert probabilities(logits, "multiclass") == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    yes = 1 / (1 + np.exp(-2.0))
    assert probabilities(logits, "multilabel") == pytest.approx(np.array([[0.5, 0.75], [yes, yes]]))
