"""Whatever nonsense a public function is given, it answers with one sentence: an error of medzoo, never a traceback from inside."""

import json
import warnings

import numpy as np
import pytest
import timm
import torch
from expect import raises
from PIL import Image

import medzoo
from medzoo.errors import MedzooError, UsageError, WeightsUnavailableError

FACTS = {"license": "mit", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3, "size": 64}
CARD = {"name": "test_resnet-x", "license": "mit", "data": ["x"], "input": {"size": 64}}
STATUS = {"schema": "medzoo.status/1", "state": "resumable", "kind": "finetune", "identity": {}, "step": 5, "steps": 10}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    (folder / "Makefile").write_text("all:\n\ttrue\n")
    (folder / "nothing").mkdir()
    (folder / "images").mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / "images" / f"{number}.png")
    for state in ("resumable", "failed"):
        (folder / "runs" / state).mkdir(parents=True)
        (folder / "runs" / state / "status.json").write_text(json.dumps({**STATUS, "state": state}))
    return folder


def nonsense(place):
    return {
        "None": None, "int": 3, "zero": 0, "nan": float("nan"), "true": True, "empty": "", "blank": " ", "nul": "a\0b",
        "newline": "a\nb", "missing": "no-such-thing", "missing below": "no/such/thing", "a text file": "Makefile",
        "an image": "images/0.png", "a file in dots": "./Makefile", "an empty folder": "nothing", "a folder of images": "images",
        "an unfinished run": "runs/resumable", "its checkpoint": "runs/resumable/checkpoint", "a failed run": "runs/failed",
        "a list": ["resnet18-random"], "a dict": {"name": 1}, "bytes": b"resnet18-random", "an object": object(), "a class": dict,
        "a function": len, "a module": np, "a path object": place / "nothing", "a tensor": torch.zeros(2),
        "an array": np.zeros(3), "odd text": "r\udce8s,n=1:\x07@v1",
    }  # fmt: skip


def net():
    return timm.create_model("test_resnet", num_classes=0)


CALLS = {
    "load": medzoo.load,
    "load by revision": lambda x: (
        medzoo.load("lab/net", revision=x, local_files_only=True) if x is not None else medzoo.load(x)
    ),
    "load from a hub": lambda x: medzoo.load("lab/net", hub=x, local_files_only=True),
    "load into a cache": lambda x: medzoo.load("lab/net", cache_dir=x, local_files_only=True),
    "load on a device": lambda x: medzoo.load("resnet18_cifar-random", device=x, num_classes="pretrained"),
    "info": medzoo.info,
    "check": medzoo.check,
    "fetch": medzoo.fetch,
    "fetch to": lambda x: medzoo.fetch("no-such-thing", to=x),
    "transform": medzoo.transform,
    "transform at a size": lambda x: medzoo.transform("resnet18-random", size=x if x is not None else "big"),
    "segmenter": lambda x: medzoo.segmenter(x, 2),
    "segmenter of classes": lambda x: medzoo.segmenter("no-such-thing", x),
    "embed": lambda x: medzoo.embed(x, None),
    "embed of": lambda x: medzoo.embed(net(), x),
    "embed a split of": lambda x: medzoo.embed(net(), (x, "train")),
    "predict": lambda x: medzoo.predict(x, ["no-such-image.png"]),
    "predict images": lambda x: medzoo.predict("no-such-run", x),
    "export": lambda x: medzoo.export(x, out="net.onnx"),
    "export to": lambda x: medzoo.export("resnet18-random", out=x),
    "export as": lambda x: medzoo.export("resnet18-random", out="net.onnx", format=x),
    "export at a size": lambda x: medzoo.export("resnet18-random", out="net.onnx", size=x),
    "export a head of": lambda x: medzoo.export("resnet18-random", out="net.onnx", num_classes=x),
    "list_models": lambda x: medzoo.list_models(x),
    "list_models by architecture": lambda x: medzoo.list_models(architecture=x),
    "convert": lambda x: medzoo.convert(x, "resnet50-radimagenet"),
    "convert to": lambda x: medzoo.convert("Makefile", x),
    "add": lambda x: medzoo.add(x, "test_resnet-ours", **FACTS),
    "add as": lambda x: medzoo.add("Makefile", x, **FACTS),
    "add with": lambda x: medzoo.add("Makefile", "test_resnet-ours", **{**FACTS, "mean": x}),
    "save": lambda x: medzoo.save(x, "out", card=CARD),
    "save with": lambda x: medzoo.save(net(), "out", card=x),
    "save to": lambda x: medzoo.save(None, x, card=CARD),
    "push": lambda x: medzoo.push(x, "lab/net", hub="stick"),
    "push to": lambda x: medzoo.push("nothing", x, hub="stick"),
    "read_image": medzoo.read_image,
    "list_dicom_slices": medzoo.list_dicom_slices,
    "read_dicom_seg": medzoo.read_dicom_seg,
    "load_task": medzoo.load_task,
    "load_task folder": lambda x: medzoo.load_task(f"folder:{x}", groups="none"),
    "load_task below": lambda x: medzoo.load_task("chexpert", root=x),
    "table": lambda x: medzoo.table(x),
    "compare": lambda x: medzoo.compare(x, "resnet18-random", "phantom_oct", only=["representation"]),
    "compare on": lambda x: medzoo.compare("resnet18-random", "resnet18-random", x, only=["representation"]),
    "compare only": lambda x: medzoo.compare("resnet18-random", "resnet18-random", "phantom_oct", only=[x]),
    "Task": lambda x: medzoo.Task(x, {}, None, ""),
    "Task of": lambda x: medzoo.Task(medzoo.load_task("phantom_oct").info, x, None, ""),
}
# What is no nonsense to them: any text is a pattern, a number may be a size, an empty table is one.
MAY_ANSWER = {
    "list_models", "list_models by architecture", "transform at a size", "segmenter of classes", "load on a device", "read_image",
    "load_task folder", "fetch to", "embed a split of",
}  # fmt: skip


def said(name, given):
    """The sentence that a call answers nonsense with; None if it takes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = CALLS[name](given)
        except MedzooError as error:
            return str(error)
    # of any folder `check` says what is broken
    assert name in MAY_ANSWER or (name == "check" and not answer.passed), "it was taken"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_gets_a_sentence(name, place, monkeypatch):
    monkeypatch.chdir(place)
    wrong = {}
    for kind, given in nonsense(place).items():
        try:
            text = said(name, given)
            if text is not None:
                assert len(text) > 15 and "Traceback" not in text
                text.encode()  # every terminal can show it
        except Exception as error:
            wrong[kind] = f"{type(error).__name__}: {error}"
    assert wrong == {}


def test_every_public_function_is_tried():
    tried = {name.split()[0] for name in CALLS}
    assert tried | {"Pixels", "__version__", "errors"} == set(medzoo.__all__)  # Pixels holds what it is given


@pytest.mark.parametrize("function", [medzoo.load, medzoo.info, medzoo.push, medzoo.save, medzoo.embed, medzoo.convert])
def test_only_missing_arguments_are_pythons_own_errors(function):
    with pytest.raises(TypeError, match="missing"):
        function()


@pytest.mark.parametrize(
    "call", [medzoo.load, medzoo.fetch, medzoo.check, medzoo.transform, lambda x: medzoo.push(x, "lab/net")]
)
@pytest.mark.parametrize(
    ("state", "cause", "says"),
    [
        ({"state": "running", "step": 5, "steps": 10}, "run-not-ended", "step 5 of 10"),
        ({"state": "resumable"}, "run-not-ended", "has not ended"),
        ({"state": "failed", "error": "OSError: no room"}, "run-failed", "no room"),
        ({"state": "done"}, "run-without-weights", "stored no weights"),
    ],
)
def test_a_run_folder_without_a_checkpoint_says_how_far_it_is(call, state, cause, says, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "status.json").write_text(json.dumps({"schema": "medzoo.status/1", "kind": "finetune", **state}))
    for path in (str(run), run, str(run / "checkpoint")):
        with raises(WeightsUnavailableError, cause, match=says):
            call(path)


def test_a_finished_run_loads_and_another_status_file_is_no_run(tmp_path):
    medzoo.save(net(), tmp_path / "run" / "checkpoint", card=CARD)
    (tmp_path / "run" / "status.json").write_text(
        json.dumps({**STATUS, "state": "running"})
    )  # run again, with others weights
    assert medzoo.load(tmp_path / "run").load_receipt.name == "test_resnet-x"
    (tmp_path / "other").mkdir()
    for text in ("{", "[]", '{"state": "done"}'):
        (tmp_path / "other" / "status.json").write_text(text)
        with raises(medzoo.errors.IntegrityError, "not-a-checkpoint-folder"):
            medzoo.load(tmp_path / "other")


@pytest.mark.parametrize("given", ["resnet18-random", "path/to/folder", None])
def test_embed_wants_a_network(given):
    with raises(UsageError, "model-not-a-network"):
        medzoo.embed(given, (medzoo.load_task("phantom_oct"), "train"))
    with raises(UsageError, "split-invalid", match="load_task"):
        medzoo.embed(net(), medzoo.load_task("phantom_oct"))
