"""`medzoo.export`: what a file computes and says; what is refused, with which code; that a file which differs is never left."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from expect import raises
from predict_samples import trained
from zoo_samples import small_model

import medzoo
from medzoo.errors import ExportError, IntegrityError, LicenseError, UsageError
from medzoo.training.export import check, export, onnx_file, options, trace
from medzoo.training.export.metadata import read_metadata
from medzoo.zoo.folder.facts import TrainedDecoder


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return medzoo.export(source, out=tmp_path_factory.mktemp("out") / "net.onnx")


def computed(file, images):
    return onnxruntime.InferenceSession(str(file)).run(None, {"image": images})[0]


def images(count, height, width):
    return np.random.default_rng(0).standard_normal((count, 3, height, width)).astype(np.float32)


@pytest.mark.slow
def test_a_dynamic_size(source, tmp_path):
    file = medzoo.export(source, out=tmp_path / "net.onnx", dynamic_size=True)
    sizes = json.loads(read_metadata(file)["sizes"])
    assert sizes["dynamic"] is True and sizes["multiple_of"] == 1 and 16 <= sizes["smallest"] <= 64
    model = medzoo.load(source, num_classes="pretrained")
    for shape in ((2, 96, 70), (1, sizes["smallest"], sizes["smallest"])):
        batch = images(*shape)
        with torch.inference_mode():
            np.testing.assert_allclose(computed(file, batch), model(torch.from_numpy(batch)).numpy(), atol=1e-4)
    axes = [axis.dim_param or axis.dim_value for axis in onnx.load(file).graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 64, 64), (5, 64, 64)])
def test_the_file_computes_what_the_network_computes(source, exported, shape):
    batch, model = images(*shape), medzoo.load(source, num_classes="pretrained")
    with torch.inference_mode():
        np.testing.assert_allclose(computed(exported, batch), model(torch.from_numpy(batch)).numpy(), atol=1e-4)


def test_a_file_says_what_it_is(source, exported):
    facts = read_metadata(exported)
    assert (facts["name"], facts["architecture"], facts["kind"]) == ("test_resnet-drawn", "test_resnet", "binary")
    assert (facts["output"], facts["activation"], facts["temperature"]) == ("logits", "softmax", "2.0")
    assert json.loads(facts["labels"]) == ["normal", "pneumonia"] and json.loads(facts["thresholds"]) == [0.2]
    rule = json.loads(facts["input"])
    assert (rule["size"], rule["channels"], rule["mean"], rule["std"]) == (64, 3, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4])
    assert (rule["rule"], rule["layout"], rule["type"], rule["crop_share"]) == ("unit", "NCHW", "float32", 1.0)
    assert json.loads(facts["sizes"]) == {"dynamic": False, "side": 64}
    assert facts["license_id"] == "mit" and json.loads(facts["lineage"])[-1]["data"] == "drawn"
    assert facts["weights_sha256"] == json.loads((Path(source) / "config.json").read_text())["medzoo"]["sha256"]
    assert 0 < float(facts["largest_difference"]) <= float(facts["tolerance"]) == 1e-4
    assert facts["medzoo_version"] == medzoo.__version__ and "clinical" in facts["warning"]
    # other programs see the same texts
    assert onnxruntime.InferenceSession(str(exported)).get_modelmeta().custom_metadata_map == facts


def test_axes_have_names_and_the_file_names_no_place_of_this_machine(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, 64, 64] and model.opset_import[0].version == 18
    content = exported.read_bytes()
    assert b"site-packages" not in content and str(Path(medzoo.__file__).parent).encode() not in content


def test_the_same_network_gives_the_same_bytes(source, exported, tmp_path):
    assert medzoo.export(source, out=tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.onnx"]


def test_torch_export(source, tmp_path):
    file = medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")
    extra = {"medzoo.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["medzoo.json"]) == read_metadata(file) and read_metadata(file)["kind"] == "binary"
    batch = torch.from_numpy(images(3, 64, 64))
    with torch.inference_mode():
        expected = medzoo.load(source, num_classes="pretrained")(batch)
        assert torch.allclose(program.module()(batch), expected, atol=1e-6)
    assert b"site-packages" not in file.read_bytes() and [path.name for path in tmp_path.iterdir()] == ["net.pt2"]


def test_half_precision_computes_in_16_bits_and_takes_float32(source, exported, tmp_path):
    file = medzoo.export(source, out=tmp_path / "half.onnx", precision="fp16", num_classes="pretrained")
    assert file.stat().st_size < 0.6 * exported.stat().st_size
    kinds = {row.data_type for row in onnx.load(file).graph.initializer if len(row.dims) > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert computed(file, images(2, 64, 64)).dtype == np.float32
    facts = read_metadata(file)
    assert facts["precision"] == "fp16" and 1e-6 < float(facts["largest_difference"]) <= 2e-2 == float(
        facts["tolerance"]
    )


def test_a_folder_gives_its_head_and_features_on_request(source, tmp_path):
    features = medzoo.export(source, out=tmp_path / "features.onnx", num_classes=0)
    facts = read_metadata(features)
    assert (facts["kind"], facts["output"], facts["activation"]) == ("features", "features", "none")
    assert "labels" not in facts and "temperature" not in facts
    batch = images(1, 64, 64)
    with torch.inference_mode():
        expected = medzoo.load(source)(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(computed(features, batch), expected, atol=1e-4)


def test_a_segmentation_gives_masks_at_the_size_of_the_image(tmp_path):
    torch.manual_seed(0)
    encoder = small_model("resnet10t", num_classes=0)
    medzoo.save(encoder, tmp_path / "encoder", card={"name": "resnet10t-x", "license": "mit", "data": ["x"]})
    network = medzoo.segmenter(str(tmp_path / "encoder"), 3, size=64)
    decoder = TrainedDecoder("unet", ("liver", "tumour"), 64, "")
    state = {name: row for name, row in network.state_dict().items() if not name.startswith("encoder")}
    card = {"name": "resnet10t-masks", "license": "mit", "data": ["x"], "input": {"size": 64}}
    medzoo.save(encoder, tmp_path / "run", card=card, decoder=(decoder, state))
    file = medzoo.export(tmp_path / "run", out=tmp_path / "masks.pt2", format="torch_export", dynamic_size=True)
    facts, batch = read_metadata(file), torch.from_numpy(images(2, 96, 80))
    assert (facts["kind"], facts["activation"], facts["decoder"]) == ("segmentation", "softmax", "unet")
    assert json.loads(facts["labels"]) == ["background", "liver", "tumour"] and len(facts["decoder_sha256"]) == 64
    with torch.inference_mode():
        expected = medzoo.segmenter(str(tmp_path / "run"))(batch)
        assert expected.shape == (2, 3, 96, 80)
        assert torch.allclose(torch.export.load(file).module()(batch), expected, atol=1e-6)


def test_kinds_of_heads_and_their_activation(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "largest_difference", lambda *arguments: 0.0)
    for kind, activation, output in (("multilabel", "sigmoid", "logits"), ("regression", "none", "values")):
        folder = trained(tmp_path / kind, kind)
        facts = read_metadata(medzoo.export(folder, out=tmp_path / f"{kind}.pt2", format="torch_export"))
        assert (facts["kind"], facts["activation"], facts["output"]) == (kind, activation, output)
        assert ("thresholds" in facts) == (kind == "multilabel")
    folder = trained(tmp_path / "sums", "multiclass", evaluation={"sigmoid": True, "views": "flip"})
    facts = read_metadata(medzoo.export(folder, out=tmp_path / "sums.pt2", format="torch_export"))
    assert facts["activation"] == "sigmoid_over_sum" and json.loads(facts["input"])["views"] == "flip"


def test_another_size_of_a_network_with_position_tables(tmp_path):
    folder = trained(tmp_path / "net", "binary", "test_vit", size=64)
    file = medzoo.export(folder, out=tmp_path / "net.pt2", format="torch_export", size=96)
    assert json.loads(read_metadata(file)["sizes"]) == {"dynamic": False, "side": 96}
    assert torch.export.load(file).module()(torch.from_numpy(images(1, 96, 96))).shape == (1, 2)


def test_a_file_that_computes_something_else_is_not_left(source, tmp_path, monkeypatch):
    (tmp_path / "net.pt2").write_text("an older file")
    run_torch_export = export.run_torch_export
    monkeypatch.setattr(export, "run_torch_export", lambda path: lambda batch: run_torch_export(path)(batch) + 0.01)
    with raises(ExportError, "export-outputs-differ", match="0.0001"):
        medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")
    monkeypatch.setattr(export, "run_torch_export", lambda path: lambda batch: run_torch_export(path)(batch)[:, :1])
    with raises(ExportError, "export-outputs-differ", match="shape"):
        medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt2"]
    assert (tmp_path / "net.pt2").read_text() == "an older file"


def test_a_network_that_depends_on_the_batch_is_found(source, tmp_path, monkeypatch):
    """A graph in which the batch of the example was kept as a constant gives other outputs for another batch."""
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda layer, x: forward(layer, x) * (2 if x.shape[0] == 2 else 1))
    with raises(ExportError, ("export-outputs-differ", "export-trace-failed", "export-not-runnable")):
        medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")
    assert not list(tmp_path.iterdir())


def test_what_torch_cannot_trace_or_write_is_one_sentence(source, tmp_path, monkeypatch):
    def fail(*arguments, **keywords):
        raise AssertionError("a shape\n\n  of many lines " + "x" * 5000)

    for place, code, format in (
        ("torch.export.export", "export-trace-failed", "onnx"),
        ("torch.onnx.export", "export-onnx-failed", "onnx"),
        ("torch.export.save", "export-write-failed", "torch_export"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with raises(ExportError, code, match="a shape of many lines") as caught:
                medzoo.export(source, out=tmp_path / f"net{options.SUFFIXES[format]}", format=format)
            assert len(str(caught.value)) < 800
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_not_finite_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "fixed_inputs", lambda channels, size: torch.full((3, channels, size, size), torch.inf))
    with raises(ExportError, "export-not-finite"):
        medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")


def test_weights_above_2_gb_are_a_second_file(source, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "ONE_FILE_BYTES", 1000)
    file = medzoo.export(source, out=tmp_path / "large.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data"]
    assert computed(file, images(1, 64, 64)).shape == (1, 2) and read_metadata(file)["kind"] == "binary"


def test_the_terms_of_a_licence(tmp_path):
    folder = trained(tmp_path / "net", "binary", license="cc-by-nd-4.0")
    out = tmp_path / "net.pt2"
    with raises(LicenseError, "license-forbids-derivatives", match="cc-by-nd-4.0"):
        medzoo.export(folder, out=out, format="torch_export")
    with pytest.warns(UserWarning, match="do not share"):
        facts = read_metadata(medzoo.export(folder, out=out, format="torch_export", accept_license=True))
    assert "do not share" in facts["warning"] and facts["license_id"] == "cc-by-nd-4.0"
    # weights that were trained from such weights
    steps = [{"data": "x", "license": "cc-by-nc-nd-4.0"}, {"data": "drawn"}]
    with raises(LicenseError, "license-forbids-derivatives"):
        medzoo.export(trained(tmp_path / "later", "binary", lineage=steps), out=out, format="torch_export")
    with raises(LicenseError, "license-not-accepted"):  # as `load`, before anything is fetched
        medzoo.export(medzoo.list_models(license="CC-BY-NC-4.0")[0], out=out, format="torch_export")


def test_reading_metadata_of_other_files(tmp_path):
    with raises(UsageError, "exported-file-missing"):
        read_metadata(tmp_path / "none.onnx")
    with raises(UsageError, "not-a-path"):
        read_metadata(3)
    (tmp_path / "text.onnx").write_text("not a network")
    with raises(IntegrityError, ("export-metadata-unreadable", "export-metadata-missing")):
        read_metadata(tmp_path / "text.onnx")
    onnx.save(onnx.ModelProto(), tmp_path / "other.onnx")
    with raises(IntegrityError, "export-metadata-missing"):
        read_metadata(tmp_path / "other.onnx")


def test_metadata_needs_no_torch(exported):
    code = (
        "import sys; sys.modules['torch'] = None; from medzoo.training.export.metadata import read_metadata; "
        f"print(read_metadata({str(exported)!r})['kind'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "binary\n", done.stderr


def test_tensorflow_padding_in_whole_numbers():
    from timm.layers.padding import get_same_padding

    cases = [(s, k, t, d) for s in (1, 7, 32, 33, 224) for k in (1, 2, 3, 7) for t in (1, 2, 3) for d in (1, 2)]
    assert [trace.same_padding(*case) for case in cases] == [get_same_padding(*case) for case in cases]


def test_the_command(source, tmp_path, run):
    code, out, said = run("export", source, "--format", "torch_export", "--out", tmp_path / "net.pt2")
    assert code == 0 and "test_resnet-drawn, binary" in out and "checked" in out and not said
    code, _, said = run("export", source, "--num-classes", "many", "--out", tmp_path / "net.onnx")
    assert code == 2 and "many" in said
    code, _, said = run("export", "resnet18-random", "--out", tmp_path / "net.onnx")
    assert code == 2 and "--allow-random" in said
