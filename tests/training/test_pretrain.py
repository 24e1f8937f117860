"""Pre-training: a folder that loads, a lineage that grows, names that follow the grammar, exact resume."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from contract_samples import small_options
from expect import raises
from safetensors.torch import load_file

import medzoo
from medzoo.errors import RunFolderError, UsageError
from medzoo.training.objectives import list_methods, method
from medzoo.training.options.names import slug, trained_name
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


def options(tiny_hub, folder, **changes) -> PretrainOptions:
    usual = {
        "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": "phantom_oct", "size": 32, "epochs": 1,
        "batch_size": 64, "precision": "fp32", "out": str(folder), "license": "apache-2.0", "fraction": 0.5, "device": "cpu",
    }  # fmt: skip
    return PretrainOptions(**{**usual, **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint" / "model.safetensors")


def equal(one, two) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.fixture(scope="session")
def tiny_vit_folder(tmp_path_factory):
    """A checkpoint of timm's test_vit at 32 px, for methods that train no CNN."""
    import timm

    folder = tmp_path_factory.mktemp("vit") / "folder"
    card = {
        "name": "test_vit-noise",
        "license": "apache-2.0",
        "data": ["noise"],
        "input": {"size": 32, "crop_pct": 1.0},
    }
    return medzoo.save(timm.create_model("test_vit", num_classes=0, img_size=32), folder, card=card)


@pytest.mark.parametrize("name", list_methods())
def test_every_method_leaves_a_folder_that_loads(tiny_hub, tmp_path, name, tiny_vit_folder):
    module, small = method(name), {}
    try:
        module.check(medzoo.load("lab/tiny", hub=str(tiny_hub)), small_options(module), 32, 64)
    except UsageError:
        small = {"checkpoint": str(tiny_vit_folder)}
    folder = pretrain(options(tiny_hub, tmp_path / "run", method=name, **small), small_options(module))
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "options.toml", "status.json", "log.jsonl", "curves.png", "pictures.png", "checkpoint",
    }  # fmt: skip
    model = medzoo.load(str(folder))
    assert model(torch.rand(2, 3, 32, 32)).ndim == 2
    step = dict(model.load_receipt.lineage[-1])
    assert step["method"] == name and step["data"] == "phantom_oct" and step["images"] > 0
    if method(name).SUPERVISED:
        headed = medzoo.load(str(folder), num_classes="pretrained")
        assert headed(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    card = (folder / "checkpoint" / "README.md").read_text()
    assert 'license: "apache-2.0"' in card and "phantom_oct" in card


def test_the_input_rule_is_that_of_the_option_then_that_of_the_checkpoint(tiny_hub, tmp_path, capsys):
    task = "phantom_oct,n=8,n_validation=4,n_test=4,image_size=32"
    shared = {"task": task, "batch_size": 8, "fraction": 1.0}
    own = {"checkpoint": None, "hub": None, "architecture": "resnet10t", "input_rule": "per_image_minmax"}
    first = pretrain(options(tiny_hub, tmp_path / "a", **own, **shared))
    assert medzoo.load(str(first)).load_receipt.input_rule == "per_image_minmax"
    capsys.readouterr()
    second = pretrain(options(tiny_hub, tmp_path / "b", checkpoint=str(first), input_rule="unit", **shared))
    assert medzoo.load(str(second)).load_receipt.input_rule == "per_image_minmax"
    said = capsys.readouterr()
    assert "(not --input-rule unit)" in said.out + said.err


def test_lineage_and_name_grow(tiny_hub, tmp_path):
    first = pretrain(options(tiny_hub, tmp_path / "a", method="supervised"))
    second = pretrain(options(tiny_hub, tmp_path / "b", checkpoint=str(first), task="phantom_ct"))
    receipt = medzoo.load(str(second)).load_receipt
    assert receipt.name == "test_resnet-noise-phantom_oct-simclr-phantom_ct"
    assert [(step.get("method"), step["data"]) for step in receipt.lineage][-2:] == [
        ("supervised", "phantom_oct"), ("simclr", "phantom_ct"),
    ]  # fmt: skip


def test_the_weights_moved_and_repeat(tiny_hub, tmp_path):
    start = load_file(tiny_hub / "lab" / "tiny" / "model.safetensors")
    one, two = (weights(pretrain(options(tiny_hub, tmp_path / name))) for name in "ab")
    assert equal(one, two) and not equal(start, one)


def test_stopped_and_resumed_is_equal(tiny_hub, tmp_path, monkeypatch):
    straight = weights(pretrain(options(tiny_hub, tmp_path / "straight", epochs=2)))
    init = RunFolder.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            RunFolder, "__init__", lambda self, *a, **k: (init(self, *a, **k), setattr(self, "stop_at_step", 3))[0]
        )
        with pytest.raises(Interrupted):
            pretrain(options(tiny_hub, tmp_path / "cut", epochs=2))
    assert json.loads((tmp_path / "cut" / "status.json").read_text())["state"] == "resumable"
    assert equal(straight, weights(pretrain(options(tiny_hub, tmp_path / "cut", epochs=2))))


def test_a_finished_run_is_not_run_again(tiny_hub, tmp_path):
    folder = pretrain(options(tiny_hub, tmp_path / "run"))
    before = (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns
    pretrain(options(tiny_hub, tmp_path / "run"))
    assert (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns == before
    with raises(RunFolderError, "folder-of-other-run"):
        pretrain(options(tiny_hub, tmp_path / "run", epochs=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "resnet18"}, {"checkpoint": None}, {"out": ""}, {"method": "magic"}, {"task": ""},
        {"fraction": 0.0}, {"epochs": 0}, {"size": 3}, {"device": "tpu"},
    ],
)  # fmt: skip
def test_wrong_usage_touches_nothing(tiny_hub, tmp_path, changes):
    with pytest.raises(UsageError):
        pretrain(options(tiny_hub, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("resnet50-random", [], "simclr", "radnet1m"), "resnet50-simclr-radnet1m"),
        (("resnet50-imagenet", ["supervised"], "supervised", "chestxray14"), "resnet50-imagenet-chestxray14"),
        (("resnet50-simclr-imagenet", ["simclr"], "simclr", "radnet1m"), "resnet50-simclr-imagenet-radnet1m"),
        (("lab/resnet18-a", ["supervised"], "simclr", "folder:my/CT scans"), "resnet18-a-simclr-ct_scans"),
    ],
)
def test_names(arguments, expected):
    assert trained_name(*arguments) == expected


def test_slug_is_never_empty():
    assert slug("///") == "data" and slug("parquet:a/B-c.d/") == "b_c_d"


def test_a_net_of_fixed_size_learns_at_another(tiny_hub, tmp_path):
    import timm

    net = timm.create_model("test_vit", num_classes=0)
    medzoo.save(net, tmp_path / "vit", card={"name": "test_vit-noise", "license": "apache-2.0", "data": ["noise"]})
    folder = pretrain(
        options(tiny_hub, tmp_path / "run", checkpoint=str(tmp_path / "vit"), method="supervised", size=48)
    )
    model = medzoo.load(str(folder))
    assert model(torch.rand(2, 3, 48, 48)).shape == (2, net.num_features)
    assert dict(model.pretrained_cfg)["input_size"][-1] == 48


SMALL = "phantom_oct,n=24,n_validation=20,n_test=4,image_size=32"


def test_the_logged_accuracy_is_that_of_the_stored_network_on_the_transform(tiny_hub, tmp_path):
    """Of the validation images as they are, in evaluation mode: neither mirrored, nor of the training split."""
    made = options(tiny_hub, tmp_path / "run", method="supervised", task=SMALL, fraction=1.0, batch_size=8, epochs=2)
    folder = pretrain(made)
    task, model = medzoo.load_task(SMALL), medzoo.load(str(folder), num_classes="pretrained")
    view = medzoo.transform(model)
    with torch.inference_mode():
        said = [int(model(view(task.read("validation", row)[0])[None]).argmax()) for row in range(20)]
    logged = [row["score"] for row in RunFolder(folder, "pretrain", {}, {}).rows() if "score" in row]
    assert len(logged) == 2 and logged[-1] == pytest.approx((said == task.labels("validation")).mean())


def test_the_logged_accuracy_is_of_images_as_they_are(tiny_hub, tmp_path, monkeypatch):
    """A network that tells left from right: its answers to mirrored images would be others."""
    from medzoo.training import loop

    task, classes = medzoo.load_task(SMALL), torch.arange(4)
    unit = torch.stack([torch.from_numpy(task.read("validation", row)[0].array / 255) for row in range(20)])
    slopes = unit[..., :16].mean((1, 2)) - unit[..., 16:].mean((1, 2))  # how much brighter the left half is
    ordered = slopes.sort().values
    borders = torch.stack([ordered[k : k + 2].mean() for k in (3, 9, 15)])
    labels = torch.from_numpy(task.labels("validation"))
    expected, mirrored = (float((torch.bucketize(way * slopes, borders) == labels).double().mean()) for way in (1, -1))
    assert expected != mirrored
    found = []

    def fit(objective, batches, plan, run, accelerator, *, validate, **more):
        def answer(x):
            x = x * torch.tensor(objective.backbone.pretrained_cfg["std"]).view(
                3, 1, 1
            )  # means fall out of a difference
            slopes = x[..., :16].mean((1, 2, 3)) - x[..., 16:].mean((1, 2, 3))
            return (torch.bucketize(slopes.double(), borders)[:, None] == classes).float()

        monkeypatch.setattr(objective.backbone, "forward", answer)
        found.append(validate()[0])
        monkeypatch.undo()

    monkeypatch.setattr(loop, "Loop", lambda *given, **more: SimpleNamespace(fit=lambda: fit(*given, **more)))
    pretrain(options(tiny_hub, tmp_path / "run", method="supervised", task=SMALL, fraction=1.0, batch_size=8))
    assert found == [pytest.approx(expected)]


def test_validation_images_are_not_learnt_from(tiny_hub, tmp_path):
    many, few = (
        options(tiny_hub, tmp_path / name, method="supervised", task=task, fraction=1.0, batch_size=8)
        for name, task in (("many", SMALL), ("few", SMALL.replace("n_validation=20", "n_validation=8")))
    )
    assert equal(weights(pretrain(many)), weights(pretrain(few)))


@pytest.fixture
def identity_of(tiny_hub, tmp_path, monkeypatch):
    """The identity that options lead to; nothing is trained."""

    class StopHereError(Exception):
        pass

    def of(**changes):
        def stop(self, path, kind, identity, *rest):
            raise StopHereError(identity)

        with monkeypatch.context() as patch, pytest.raises(StopHereError) as found:
            patch.setattr(RunFolder, "__init__", stop)
            pretrain(options(tiny_hub, tmp_path / "run", **changes))
        return found.value.args[0]

    return of


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"task": SMALL}, {"fraction": 1.0}, {"size": 40}, {"epochs": 2}, {"batch_size": 32}, {"learning_rate": 0.1},
        {"optimizer": "sgd"}, {"weight_decay": 0.5}, {"warmup_epochs": 0.0}, {"gradient_clip": 0.0}, {"method": "supervised"},
        {"precision": "bf16"}, {"final_weight_decay": 0.1}, {"final_learning_rate": 1e-5}, {"stored_size": 48},
        {"gram_weight": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_what_may_change_the_weights_is_another_run(identity_of, change):
    assert identity_of(**change) != identity_of()


def test_layers_that_are_computed_again_are_another_run(identity_of, tiny_vit_folder):
    shared = {"checkpoint": str(tiny_vit_folder)}
    assert identity_of(**shared, recompute=True) != identity_of(**shared)


def test_a_loaded_network_with_batch_norm_cannot_recompute(tiny_hub, tmp_path):
    with raises(UsageError, "recompute-not-possible", match="BatchNorm"):
        pretrain(options(tiny_hub, tmp_path / "run", recompute=True))
    assert not (tmp_path / "run").exists()


def test_later_options_that_are_not_used_leave_older_runs_the_same(identity_of):
    """A run of the first version, which had only these options, is resumed and not refused."""
    identity = set(identity_of())
    assert identity >= {"temperature", "projection", "min_area", "flip", "tone", "blur", "grey", "optimizer"}
    assert not identity & {"hue", "projection_layers", "separate_views", "gram_weight", "recompute", "stored_size"}


def test_other_weights_to_start_from_are_another_run(identity_of, tiny_hub, tmp_path):
    """Even if they carry the same name."""
    import timm

    torch.manual_seed(1)
    card = {
        "name": "test_resnet-noise",
        "license": "apache-2.0",
        "data": ["noise"],
        "input": {"size": 32, "crop_pct": 1.0},
    }
    medzoo.save(timm.create_model("test_resnet", num_classes=0), tmp_path / "other", card=card)
    one, other = identity_of(), identity_of(checkpoint=str(tmp_path / "other"))
    assert one["name"] == other["name"] and one != other


def test_what_changes_no_weight_is_the_same_run(identity_of, tmp_path):
    same = {"out": str(tmp_path / "elsewhere"), "num_workers": 2, "resume": "never", "license": "mit"}
    assert identity_of(**same) == identity_of()


def test_every_option_arrives(tiny_hub, tmp_path, monkeypatch):
    """At the batches, the plan and the objective, by what they were given."""
    from medzoo.training import loop
    from medzoo.training.objectives.simclr import Options

    seen = {}

    class Watched(loop.Loop):
        def __init__(self, objective, batches, plan, *rest, **more):
            seen.update(objective=objective, batches=batches, plan=plan)
            super().__init__(objective, batches, plan, *rest, **more)

    monkeypatch.setattr(loop, "Loop", Watched)
    plan = {
        "epochs": 1, "optimizer": "sgd", "learning_rate": 0.02, "weight_decay": 0.3, "warmup_epochs": 0.5, "gradient_clip": 0.7,
        "seed": 4,
    }  # fmt: skip
    made = options(tiny_hub, tmp_path / "run", task=SMALL, fraction=1.0, batch_size=12, **plan)
    views = {"min_area": 0.5, "flip": 0.1, "tone": 0.3, "blur": 0.4, "grey": 0.2}
    pretrain(made, Options(temperature=0.3, **views))
    assert {key: getattr(seen["plan"], key) for key in plan} == plan
    batches, law = seen["batches"], seen["batches"].views[0].augmentation
    assert (batches.seed, batches.batch_size, batches.size, len(batches.views), len(batches.data.ids)) == (
        4,
        12,
        32,
        2,
        24,
    )
    assert (law.min_area, law.flip, law.blur, law.grey, law.tone) == (0.5, 0.1, 0.4, 0.2, 0.8)
    assert (law.brightness, law.contrast, law.saturation) == (0.3, 0.3, 0.3)
    assert seen["objective"].options.temperature == 0.3
