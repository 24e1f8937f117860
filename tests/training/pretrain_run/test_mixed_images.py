"""A pre-training on several data sets: the file, what it refuses, and the folder that comes out."""

import pytest
from expect import raises

import medzoo
from medzoo.data.shards.write import write_shards
from medzoo.errors import DataContractError, RunFolderError, UsageError
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

OCT, CT = (
    "phantom_oct,n=12,n_validation=4,n_test=4,image_size=32",
    "phantom_ct,n=12,n_validation=4,n_test=4,image_size=32",
)


def options(tiny_hub, tmp_path, text, **changes):
    file = tmp_path / "mix.toml"
    file.write_text(text)
    usual = {
        "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": f"mix:{file}", "size": 32, "epochs": 1,
        "batch_size": 8, "precision": "fp32", "out": str(tmp_path / "run"), "license": "apache-2.0", "device": "cpu",
    }  # fmt: skip
    return PretrainOptions(**{**usual, **changes})


def mix(*weights):
    rows = [f'[[source]]\ntask = "{task}"\n' for task in (OCT, CT)]
    return "\n".join(
        row + (f"weight = {weight}\n" if weight else "") for row, weight in zip(rows, weights, strict=True)
    )


def test_the_folder_names_both_data_sets(tiny_hub, tmp_path):
    folder = pretrain(options(tiny_hub, tmp_path, mix(1, 3), data_name="both"))
    step = dict(medzoo.load(str(folder)).load_receipt.lineage[-1])
    assert step["data"] == "both" and step["images"] == 2 * len(medzoo.load_task(OCT).splits["train"])
    assert "mix.toml" in (folder / "options.toml").read_text()


def test_paths_begin_at_the_folder_of_the_file(tiny_hub, tmp_path):
    from PIL import Image

    for name, shade in (("dark", 30), ("light", 200)):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.new("L", (20, 20), shade + number).save(tmp_path / name / f"{number}.png")
    text = '[[source]]\ntask = "folder:dark"\ngroups = "none"\n[[source]]\ntask = "folder:light"\ngroups = "none"\n'
    folder = pretrain(options(tiny_hub, tmp_path, text, batch_size=4))
    step = dict(medzoo.load(str(folder)).load_receipt.lineage[-1])
    assert step["images"] == 12


def test_other_weights_are_another_run(tiny_hub, tmp_path):
    pretrain(options(tiny_hub, tmp_path, mix(1, 3)))
    with raises(RunFolderError, "folder-of-other-run"):
        pretrain(options(tiny_hub, tmp_path, mix(1, 2)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (mix(1, -1), "mix-weight"), (mix(1, 0.0001).replace("0.0001", "0"), "mix-weight"), (mix(1, "nan"), "mix-weight"),
        (mix(1, "true"), "mix-weight"), (mix(1, None), "mix-weight"), (mix(1, '"much"'), "mix-weight"),
        ("", "mix-without-sources"), (f'[[source]]\ntask = "{OCT}"', "mix-without-sources"), ("source = 3", "mix-without-sources"),
        (mix(1, 1) + "\nseed = 3", "mix-key-unknown"), (mix(1, 1).replace(OCT, "mix:x"), "mix-source"),
        (mix(1, 1).replace("task", "tasks"), "mix-key-unknown"), ("[[source", "toml-invalid"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_what_is_wrong(tiny_hub, tmp_path, text, code):
    with raises(UsageError, code):
        pretrain(options(tiny_hub, tmp_path, text))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"fraction": 0.5}, {"root": "."}, {"fold": 1}, {"groups": "none"}])
def test_options_of_one_data_set_are_refused(tiny_hub, tmp_path, changes):
    with raises(UsageError, "option-not-for-mix"):
        pretrain(options(tiny_hub, tmp_path, mix(1, 1), **changes))


def test_one_head_cannot_learn_two_sets_of_classes(tiny_hub, tmp_path):
    with raises(UsageError, "mix-of-other-classes"):
        pretrain(options(tiny_hub, tmp_path, mix(1, 1), method="supervised"))


def test_supervised_on_two_parts_of_the_same_classes(tiny_hub, tmp_path):
    folder = pretrain(
        options(tiny_hub, tmp_path, mix(1, 1).replace(CT, OCT.replace("n=12", "n=16")), method="supervised")
    )
    assert medzoo.load(str(folder), num_classes="pretrained").num_classes == 4


def with_shards(tmp_path, more=""):
    """A mix of a task and of shards beside the file."""
    if not (tmp_path / "ct").exists():
        write_shards(medzoo.load_task(CT), tmp_path / "ct", images_per_shard=5, progress=False)
    return mix(1, 3).replace(CT, "shards:ct") + more


def test_shards_in_a_mix_resume_bit_for_bit(tiny_hub, tmp_path, monkeypatch):
    text = with_shards(tmp_path)
    straight = pretrain(options(tiny_hub, tmp_path, text, epochs=2, out=str(tmp_path / "straight")))
    step = dict(medzoo.load(str(straight)).load_receipt.lineage[-1])
    assert step["images"] == 24
    init = RunFolder.__init__
    for stop in (1, 4):

        def stopped(self, *a, stop=stop, **k):
            init(self, *a, **k)
            self.stop_at_step = stop

        out = str(tmp_path / f"cut{stop}")
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "__init__", stopped)
            with pytest.raises(Interrupted):
                pretrain(options(tiny_hub, tmp_path, text, epochs=2, out=out))
        again = pretrain(options(tiny_hub, tmp_path, text, epochs=2, out=out, num_workers=2))
        weights = [folder / "checkpoint" / "model.safetensors" for folder in (straight, again)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_other_shards_are_another_run(tiny_hub, tmp_path):
    pretrain(options(tiny_hub, tmp_path, with_shards(tmp_path)))
    other = medzoo.load_task(CT.replace("n=12", "n=14"))
    write_shards(other, tmp_path / "other" / "ct", images_per_shard=5, progress=False)
    with raises(RunFolderError, "folder-of-other-run"):
        pretrain(options(tiny_hub, tmp_path, with_shards(tmp_path).replace("shards:ct", "shards:other/ct")))


def test_shards_keep_their_own_refusals(tiny_hub, tmp_path):
    with raises(UsageError, "option-not-for-shards"):
        pretrain(options(tiny_hub, tmp_path, with_shards(tmp_path, "fraction = 0.5")))
    with raises(DataContractError, "shard-index-missing"):
        pretrain(options(tiny_hub, tmp_path, with_shards(tmp_path).replace("shards:ct", "shards:nowhere")))


def test_supervised_on_shards_and_a_task_of_the_same_classes(tiny_hub, tmp_path):
    write_shards(medzoo.load_task(OCT), tmp_path / "oct", images_per_shard=5, progress=False)
    text = mix(1, 1).replace(CT, "shards:oct")
    folder = pretrain(options(tiny_hub, tmp_path, text, method="supervised"))
    assert medzoo.load(str(folder), num_classes="pretrained").num_classes == 4


def test_data_sets_with_labels_of_other_shapes_mix_without_labels(tiny_hub, tmp_path):
    """One class each, and a row of findings each."""
    from medzoo.data.tasks import nih_cxr

    nih_cxr.fake(tmp_path / "nih", 40)
    for name in ("chestxray14", "shards:nih_shards"):
        if name.startswith("shards"):
            task = medzoo.load_task("chestxray14", root=tmp_path / "nih")
            write_shards(task, tmp_path / "nih_shards", images_per_shard=9, progress=False)
        root = "" if name.startswith("shards") else 'root = "nih"\n'
        text = f'[[source]]\ntask = "{OCT}"\n[[source]]\ntask = "{name}"\n{root}'
        pretrain(options(tiny_hub, tmp_path, text, out=str(tmp_path / name.partition(":")[0])))
