"""Fine-tuning with masks: learns, resumes bit for bit, does not depend on workers, and refuses masks that it cannot use."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from expect import raises
from loop_samples import same_weights
from tiny import TinySegmenter, masked_rows

from medzoo.errors import DataContractError, DeviceMemoryError, DivergedError, UsageError
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.run_state.run_folder import Interrupted, RunFolder
from medzoo.training.segmentation.counts import dice_of
from medzoo.training.segmentation.crops import CropBatches
from medzoo.training.segmentation.losses import outputs_of
from medzoo.training.segmentation.tune import SegmentationTuner, check_masks

PROTOCOL = Protocol(
    "toy", "finetune", epochs=3, batch_size=5, learning_rate=0.02, min_area=0.5, flip=0.5, brightness=0.1, rotation=10.0,
    warmup_epochs=0.5,
)  # fmt: skip
STEPS = 12  # 22 images, batches of 5: 4 steps an epoch


def tuned(folder, protocol=PROTOCOL, *, stop=None, workers=0, side=16, size=16, classes=1, norm=True, micro=0):
    torch.manual_seed(0)
    names = [f"c{k}" for k in range(classes)]
    tuner = SegmentationTuner(
        TinySegmenter(outputs_of(classes), norm), names, protocol, size=size, device="cpu", micro_batch_size=micro
    )
    run = RunFolder(folder, "finetune", {}, {})
    run.stop_at_step = stop
    with run.open():
        train, validation = masked_rows(classes=classes, side=side), masked_rows(7, classes, side)
        fitted = tuner.fit(tuner.loop(train, validation, run, seed=3, num_workers=workers))
    return tuner, fitted, run


@pytest.mark.parametrize("stop", range(1, STEPS + 1))
def test_f38_resume_is_bitwise_equal_at_every_step(tmp_path, stop):
    straight, fitted, run = tuned(tmp_path / "straight")
    with pytest.raises(Interrupted):
        tuned(tmp_path / "cut", stop=stop)
    resumed, again, cut = tuned(tmp_path / "cut")
    assert same_weights(straight.model, resumed.model) and cut.rows() == run.rows()
    assert again.scores == fitted.scores and again.history.losses == fitted.history.losses
    data = masked_rows(9)
    assert np.array_equal(straight.counts(data), resumed.counts(data))


@pytest.mark.parametrize("side", [16, 24])
def test_workers_do_not_change_the_numbers(tmp_path, side):
    (one, first, _), (two, second, _) = (
        tuned(tmp_path / str(workers), side=side, workers=workers) for workers in (0, 2)
    )
    assert same_weights(one.model, two.model) and first.scores == second.scores


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("loss", ["dice_ce", "dice", "ce", "focal"])
def test_it_learns(tmp_path, classes, loss):
    protocol = replace(PROTOCOL, epochs=20, learning_rate=0.1, segmentation_loss=loss, rotation=0.0)
    tuner, fitted, _ = tuned(tmp_path, protocol, classes=classes, norm=False)
    assert fitted.scores[fitted.best_epoch] == max(fitted.scores) > 0.6
    dice = dice_of(tuner.counts(masked_rows(7, classes))).mean()  # the best epoch's weights are loaded
    assert dice == pytest.approx(max(fitted.scores))


def test_stored_images_larger_than_the_input_are_cropped_and_covered_by_windows(tmp_path):
    protocol = replace(PROTOCOL, epochs=20, learning_rate=0.05, min_area=1.0, rotation=0.0)
    tuner, fitted, _ = tuned(tmp_path, protocol, side=40)
    parts = list(tuner.segment(masked_rows(20, side=40)))
    assert [len(part.rows) for part in parts] == [16, 4] and parts[0].logits.shape == (16, 1, 40, 40)
    assert max(fitted.scores) > 0.6


def test_a_crop_cuts_image_and_mask_together():
    data = masked_rows(side=24)
    protocol = replace(PROTOCOL, min_area=1.0, brightness=0.0, rotation=0.0)
    tuner = SegmentationTuner(TinySegmenter(), ["c"], protocol, size=16, device="cpu")
    batches = tuner._batches(data, seed=0)
    assert isinstance(batches, CropBatches)
    first, again = batches[1], batches[1]
    assert torch.equal(first["image"], again["image"]) and first["mask"].shape == (5, 16, 16)
    bright = (first["image"][:, 0] * 0.5 + 0.5) * 255 >= 59.9  # 60 is added inside of the masks
    assert torch.equal(bright, first["mask"] == 1) and 0 < int(first["mask"].sum()) < 5 * 36
    batches.set_epoch(1)
    assert not torch.equal(batches[1]["image"], first["image"])


def test_a_batch_in_pieces_gives_the_same_training(tmp_path):
    (whole, _, _), (pieces, fitted, _) = (tuned(tmp_path / str(size), norm=False, micro=size) for size in (0, 2))
    assert fitted.micro_batch_size == 2
    for one, other in zip(whole.model.parameters(), pieces.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    with raises(UsageError, "micro-batches-not-possible"):  # Dice over a batch needs the batch in one piece
        tuned(tmp_path / "batch", replace(PROTOCOL, dice_over="batch"), norm=False, micro=2)


def test_frozen_epochs_train_the_decoder_alone(tmp_path):
    torch.manual_seed(0)
    before = TinySegmenter().state_dict()
    tuner, *_ = tuned(tmp_path, replace(PROTOCOL, train_blocks=0))
    after = tuner.model.state_dict()
    changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"segmentation_head"}


def test_a_mirror_image_is_averaged(tmp_path):
    tuner, *_ = tuned(tmp_path, replace(PROTOCOL, epochs=1))
    data = masked_rows(3)
    turned = replace(data, images=data.images[..., ::-1].copy(), masks=data.masks[..., ::-1].copy())
    one, two = (next(iter(tuner.segment(rows, flipped=True))).logits for rows in (data, turned))
    assert torch.allclose(one, two.flip(-1), atol=1e-6)


@pytest.mark.parametrize("side", [16, 24])
def test_fewer_images_at_a_time_if_memory_is_too_small(tmp_path, side):
    """Of images or, where they are larger than the input, of windows."""
    tuner, *_ = tuned(tmp_path, replace(PROTOCOL, epochs=1))
    data, most, forward = masked_rows(7, side=side), 3, tuner.model.forward
    expected = torch.cat([part.logits for part in tuner.segment(data)])

    def limited(images):
        if len(images) > most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(images)

    tuner.model.forward = limited
    parts = list(tuner.segment(data))
    assert [row for part in parts for row in part.rows] == list(range(7)) and len(parts) > 1
    assert torch.allclose(torch.cat([part.logits for part in parts]), expected, atol=1e-5)
    most = 0
    with raises(DeviceMemoryError, "evaluation-out-of-memory"):
        list(tuner.segment(data))


@pytest.mark.parametrize(
    "change",
    [{"mixup": 0.2}, {"label_smoothing": 0.1}, {"train_blocks": 1}, {"augmented_test": "ten_crop"}, {"head_std": 0.1}],
)
def test_options_of_a_classifier_are_refused(change):
    with raises(UsageError, "option-not-for-segmentation", match=next(iter(change))):
        SegmentationTuner(TinySegmenter(), ["c"], replace(PROTOCOL, **change), size=16, device="cpu")


def test_masks_outside_the_classes_and_images_without_masks_are_refused():
    data = masked_rows(5, classes=2)
    check_masks(data, ["a", "b"], "train")
    with raises(DataContractError, "mask-value-outside-classes", match="i1: 2"):
        check_masks(data, ["a"], "train")
    data.masks[0, 0, 0] = 255  # without annotation
    check_masks(data, ["a", "b"], "train")
    with raises(DataContractError, "task-without-masks"):
        check_masks(replace(data, masks=None), ["a"], "train")


def test_predictions_that_are_not_finite_end_the_run(tmp_path):
    tuner = SegmentationTuner(TinySegmenter(), ["c"], PROTOCOL, size=16, device="cpu")
    torch.nn.init.constant_(tuner.model.segmentation_head.bias, float("inf"))
    with raises(DivergedError, "predictions-not-finite"):
        tuner.counts(masked_rows(3))
