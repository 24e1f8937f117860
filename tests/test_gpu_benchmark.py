"""benchmarks/gpu.py on a CPU, with tiny networks: every part runs, failures are reported, and nothing is written."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, str(BENCHMARKS))
    before = torch.get_num_threads(), torch._dynamo.config.disable
    torch.set_num_threads(1)
    try:
        yield importlib.import_module("gpu")
    finally:
        sys.path.remove(str(BENCHMARKS))
        torch.set_num_threads(before[0])
        torch._dynamo.config.disable = before[1]


def tiny(gpu, *options):
    return gpu.main(
        ["--device", "cpu", "--tiny", "--no-warm-up", "--budget", "60", *options]
    )  # a slow machine skips nothing


def rows_of(lab, title):
    return next(table.rows for table in lab.sections if table.title.startswith(title))


def test_fine_tuning_steps_of_all_networks_and_ways(gpu):
    lab = tiny(gpu, "--only", "steps")
    assert not lab.failures
    names = {(row[0], row[1]) for row in rows_of(lab, "Fine-tuning steps")}
    ways = ("medzoo", "timm", "medzoo-fastest", "timm-compiled")
    assert names >= {(name, way) for name in gpu.steps.NETWORKS for way in ways}
    assert all(row[2] > 0 and row[7] > 0 for row in rows_of(lab, "Fine-tuning steps"))  # images/s and MFU
    targets = {one.name: one for one in lab.targets}
    assert targets["MFU, fine-tuning ViT-B/16"].measured > 0
    assert targets["waits of the host between logged steps"].verdict == "not measured"  # a CPU has none


def test_pre_training_steps_of_all_methods(gpu):
    pytest.importorskip("lightly")
    lab = tiny(gpu, "--only", "pretraining")
    assert not lab.failures
    ways = {(row[0], row[1]) for row in rows_of(lab, "Pre-training")}
    assert ways >= {(name, way) for name in gpu.pretraining.CASES for way in ("medzoo", "medzoo-fastest", "lightly")}


def test_training_from_files_on_the_device_on_the_host_and_with_timm(gpu):
    lab = tiny(gpu, "--only", "data")
    assert not lab.failures
    ways = [row[1] for row in rows_of(lab, "From files") if row[0] == "resnet50"]
    assert ways == ["compute only", "store on the device", "timm, JPEG files", "store on the host, 1 workers"]


def test_features_probes_and_similarity(gpu):
    pytest.importorskip("sklearn")
    lab = tiny(gpu, "--only", "frozen")
    assert not lab.failures
    assert len(rows_of(lab, "Features")) == 6 and len(rows_of(lab, "Probes")) == 4
    assert all(float(row[-1]) < 1e-5 for row in rows_of(lab, "Similarity"))  # the device's value is that of numpy


def test_segmentation_steps_and_a_profile_of_one(gpu):
    pytest.importorskip("segmentation_models_pytorch")
    lab = tiny(gpu, "--only", "masks", "--profile", "masks/unet-resnet50/medzoo")
    assert not lab.failures
    assert [row[0] for row in rows_of(lab, "Segmentation steps")][:2] == ["medzoo", "smp"]
    operators = rows_of(lab, "Profile of masks/unet-resnet50/medzoo: cpu time")
    assert any("convolution" in row[0] for row in operators)


def test_a_missing_package_is_reported_and_the_others_go_on(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightly.loss", None)  # `import lightly.loss` then fails
    monkeypatch.setattr(
        gpu.pretraining, "CASES", {name: gpu.pretraining.CASES[name] for name in ("dino-vit-s", "mae-vit-b")}
    )
    monkeypatch.setitem(gpu.CASES, "pretraining", (gpu.pretraining, list(gpu.pretraining.CASES)))
    monkeypatch.setattr(gpu.pretraining.lightly_steps, "Mae", None)
    lab = tiny(gpu, "--only", "pretraining")
    ways = [row[:2] for row in rows_of(lab, "Pre-training")]
    assert ways == [["mae-vit-b", "medzoo"], ["mae-vit-b", "medzoo-fastest"]]
    assert any("dino-vit-s, medzoo" in one["what"] and "ModuleNotFound" in one["why"] for one in lab.failures)
    page = gpu.page.as_page(gpu.page.as_dict(lab, "command", 1.0))
    assert "## Not measured" in page and "dino-vit-s, lightly" in page


def test_a_part_without_time_is_skipped(gpu):
    lab = tiny(gpu, "--budget", "0.000001")
    skipped = {one["part"] for one in lab.failures if "no time was left" in one["why"]}
    assert skipped == set(gpu.PARTS)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--device", "cpu"], "needs --tiny"),
        (["--device", "cpu", "--tiny", "--out", "gpu.md"], "of a GPU only"),
        (["--device", "cpu", "--tiny", "--budget", "0"], "above 0"),
        (["--only", "nothing"], "invalid choice"),
    ],
)
def test_impossible_options(gpu, capsys, options, text):
    with pytest.raises(SystemExit):
        gpu.main(options)
    assert text in capsys.readouterr().err


def test_ways_can_be_compiled_alone_before_the_measurement(gpu):
    names = gpu.compiled_ways(["steps"])
    assert "steps/vit_base_patch16_224/medzoo-fastest" in names and "steps/resnet50/timm-compiled" in names
    assert not [name for name in names if name.startswith("pretraining")]
    assert gpu.main(["--device", "cpu", "--tiny", "--warm", names[0]]).folder.exists() is False


def test_warm_up_runs_the_script_for_each_way_and_stops_late_ones(gpu, monkeypatch, tmp_path):
    from gpu_parts import warm_up

    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys, time\n"
        "name = sys.argv[sys.argv.index('--warm') + 1]\n"
        f"(pathlib.Path({str(tmp_path)!r}) / name).write_text(' '.join(sys.argv[1:]))\n"
        "time.sleep(600 * (name == 'late'))\n"
    )
    monkeypatch.setattr(warm_up, "cores", lambda: 6)
    lab = gpu.Lab(torch.device("cpu"), True, tmp_path)
    assert warm_up.warm_up(lab, ["one", "late"], 3.0, script) < 60
    assert (tmp_path / "one").read_text() == "--warm one --device cpu --tiny --batch 0"


def test_the_page_and_its_json(gpu, tmp_path):
    lab = gpu.Lab(torch.device("cpu"), True, tmp_path)
    lab.table("A table", ["what", "value"], "A note.").rows.append(["a|b", 1234.5])
    lab.target("speed", 10, 12.0, " images/s")
    lab.target("cost", 3, 4.0, " %", most=True)
    lab.target("other", 1, None)
    gpu.page.write(tmp_path / "gpu.md", gpu.page.as_dict(lab, "command", 7.4))
    text = (tmp_path / "gpu.md").read_text()
    assert "| a/b | 1,234 |" in text and "| speed | >= 10.0 images/s | 12.0 images/s | reached |" in text
    assert "| cost | <= 3.00 % | 4.00 % | missed |" in text and "| not measured |" in text
    assert json.loads((tmp_path / "gpu.json").read_text())["targets"][0]["verdict"] == "reached"


def test_idle_time_is_what_no_kernel_covers(gpu):
    assert gpu.profile.busy([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)]) == 4.0
    assert gpu.profile.busy([(2.0, 8.0), (3.0, 4.0)]) == 6.0


def test_operations_of_a_step_are_those_of_its_products(gpu, tmp_path):
    """A linear layer: forward and its weight, as images need no gradient. A grouped convolution: three times forward."""
    from gpu_parts.loops import count_flops

    lab = gpu.Lab(torch.device("cpu"), True, tmp_path)
    batch = {"image": torch.randn(2, 3, 4, 4), "label": torch.arange(2), "index": range(2)}

    def counted(network):
        return count_flops(gpu.steps.FineTuneObjective(network, gpu.steps.TaskLoss("multiclass")), batch, lab)

    assert counted(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))) == 2 * 2 * 48 * 5
    grouped = torch.nn.Conv2d(3, 3, 4, groups=3)
    assert counted(torch.nn.Sequential(grouped, torch.nn.Flatten())) == 3 * 2 * 48
