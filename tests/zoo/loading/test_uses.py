"""Every network of the registry, with drawn weights, in every use that `load` promises, and through all three readers."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from expect import raises
from fixed_order import operations, refused
from PIL import Image
from safetensors.torch import load_file
from zoo_samples import draw_statistics

import medzoo
import medzoo.zoo.variants
from medzoo.errors import UsageError
from medzoo.training.segmentation.network import segmenter
from medzoo.zoo.loading.assemble import draw
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.models import build

pytestmark = pytest.mark.slow
# One of a kind runs with every test; the other networks are `long`.
ALWAYS = (
    "resnet10t-random",
    "resnet50-byol-imagenet",
    "densenet121-cxr_all_xrv",
    "convnext_tiny-imagenet",
    "deit_tiny-imagenet",
    "swin_tiny-imagenet",
)
LABELS = ["normal", "abnormal", "unsure"]


def _cases() -> dict[str, str]:
    """A checkpoint for each network that the registry builds: architecture, keywords and channels."""
    cases: dict[str, str] = {}
    for name in medzoo.list_models():
        entry = medzoo.info(name)
        size = entry.input.size if entry.facts["fixed_size"] else 0
        key = json.dumps([entry.architecture, dict(entry.model.kwargs), entry.input.channels, size], sort_keys=True)
        cases.setdefault(key, name)
    return {name: medzoo.info(name).architecture for name in cases.values()}


CASES = _cases()


def test_every_architecture_has_a_case():
    assert set(CASES.values()) == {medzoo.info(name).architecture for name in medzoo.list_models()}
    assert set(ALWAYS) <= set(CASES)


class Sample:
    """A drawn network under a checkpoint's facts, with a head of three classes, and the folder that holds it."""

    def __init__(self, name: str, root) -> None:
        self.entry = medzoo.info(name)
        torch.manual_seed(0)
        self.model = draw_statistics(draw(self.entry, LoadRequest(3, None, False, None, {})))
        past = self.entry.pretraining
        card = {
            "name": name, "license": "mit", "data": list(past.data if past else ["nothing"]), "labels": LABELS,
            "input": {"mean": list(self.entry.input.mean), "std": list(self.entry.input.std)},
        }  # fmt: skip
        self.folder = medzoo.save(self.model, root / name, card=card)
        self.state = self.model.state_dict()
        classifier = self.model.pretrained_cfg["classifier"]
        self.head = set(build.names_under(set(self.state), classifier))
        first = self.model.pretrained_cfg["first_conv"]
        self.stem = {f"{part}.weight" for part in ([first] if isinstance(first, str) else first)}
        self.channels = self.entry.input.channels
        self.side = self.entry.input.size if self.entry.facts["fixed_size"] else 96  # small where any size will do

    def batch(self, channels: int | None = None, size: int | None = None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        side = size or self.side
        return torch.randn(1, channels or self.channels, side, side, generator=generator)

    def load(self, **wishes):
        return medzoo.load(str(self.folder), **wishes)


@pytest.fixture(
    scope="module",
    params=[name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in CASES],
)
def sample(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    yield Sample(request.param, root)
    shutil.rmtree(root)  # dozens of networks of up to 350 MB


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def same_but(model, sample, but: set[str]) -> None:
    """All tensors are the file's, but those named."""
    now = model.state_dict()
    assert set(now) ^ set(sample.state) <= but
    assert [name for name in now.keys() - but if not torch.equal(now[name], sample.state[name])] == []


def test_heads(sample):
    x = sample.batch()
    stored, features, fresh = (sample.load(num_classes=wish) for wish in ("pretrained", 0, 7))
    logits = sample.model(x)
    assert torch.equal(stored(x), logits) and stored.load_receipt.fresh == stored.load_receipt.dropped == ()
    plain = sample.model.forward_head(sample.model.forward_features(x), pre_logits=True)
    assert torch.equal(features(x), plain) and features(x).shape == (1, sample.entry.facts["features"])
    assert set(features.load_receipt.dropped) == sample.head and features.load_receipt.fresh == ()
    assert fresh(x).shape == (1, 7) and set(fresh.load_receipt.fresh) == sample.head
    for model, but in ((stored, set()), (features, sample.head), (fresh, sample.head)):
        same_but(model, sample, but)
        buffers = dict(sample.model.named_buffers())  # also those that files do not hold
        assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels(sample, channels):
    model = sample.load(in_chans=channels)
    assert model(sample.batch(channels)).shape == (1, sample.entry.facts["features"])
    same_but(model, sample, sample.head | (sample.stem if channels != sample.channels else set()))
    assert len(model.pretrained_cfg["mean"]) == channels
    shape = sample.entry.input  # a summed stem is the same function of grey where all channels share mean and std
    same = channels == sample.channels or (channels == 1 and len({*zip(shape.mean, shape.std, strict=True)}) == 1)
    assert any("stem" in note for note in model.load_receipt.notes) == (not same)


def test_feature_maps(sample):
    everything = sample.load(features_only=True)
    chosen = sample.load(features_only=True, out_indices=(1, 2))
    x = sample.batch()
    maps, two = everything(x), chosen(x)
    assert len(two) == 2 and len(maps) == len(everything.feature_info.channels())
    for out, width, reduction in zip(two, chosen.feature_info.channels(), chosen.feature_info.reduction(), strict=True):
        nchw = out if out.shape[1] == width else out.permute(0, 3, 1, 2)  # Swin's are NHWC
        assert nchw.shape[1] == width and -4 <= nchw.shape[-1] - sample.side / reduction <= 1  # Inceptions do not pad
    assert everything.load_receipt.fresh == chosen.load_receipt.fresh == ()


def test_another_size(sample):
    fixed = sample.entry.facts["fixed_size"]
    side = (448 if "swin" in sample.entry.architecture else 224 if sample.side > 224 else 160) if fixed else 128
    model = sample.load(img_size=side) if fixed else sample.load()
    assert model(sample.batch(size=side)).shape == (1, sample.entry.facts["features"])
    if fixed:
        assert model.pretrained_cfg["input_size"][-1] == side and model.load_receipt.fresh == ()
        changed = {
            name
            for name, tensor in model.state_dict().items()
            if tensor.shape != sample.state[name].shape or not torch.equal(tensor, sample.state[name])
        }
        assert all("pos_embed" in name or "relative_position" in name for name in changed), changed


def test_type_and_device(sample):
    half = sample.load(dtype=torch.bfloat16, device="cpu")
    out = half(sample.batch().bfloat16())
    assert out.dtype == torch.bfloat16 and torch.isfinite(out.float()).all()


# medzoo gives a plain timm network: a convolutional and a transformer one show that capture works; the others take minutes.
@pytest.mark.parametrize(
    "sample",
    [
        name if name in ("resnet10t-random", "deit_tiny-imagenet") else pytest.param(name, marks=pytest.mark.long)
        for name in CASES
    ],
    indirect=True,
    scope="module",
)
def test_compile(sample):
    model = sample.load()
    compiled = torch.compile(model, backend="eager")  # the whole graph is captured; no compiler is needed
    assert torch.equal(compiled(sample.batch()), model(sample.batch()))


def test_timm_reads_the_folder(sample):
    x = sample.batch()
    stored = timm.create_model(f"local-dir:{sample.folder}", pretrained=True).eval()
    assert torch.equal(stored(x), sample.model(x))
    features = timm.create_model(f"local-dir:{sample.folder}", pretrained=True, num_classes=0).eval()
    assert torch.equal(features(x), sample.load()(x))
    config = timm.data.resolve_model_data_config(stored)
    assert tuple(config["mean"]) == sample.entry.input.mean and tuple(config["std"]) == sample.entry.input.std
    read = load_file(sample.folder / "model.safetensors")
    assert read.keys() == sample.state.keys() and all(torch.equal(read[name], sample.state[name]) for name in read)


def test_transformers_reads_the_folder(sample):
    transformers = pytest.importorskip("transformers")
    x = sample.batch()
    auto = transformers.AutoModel.from_pretrained(sample.folder).eval()
    want = sample.load()(x)
    assert (auto(x).pooler_output - want).abs().max() <= 1e-5 * want.abs().max()
    classifier = transformers.AutoModelForImageClassification.from_pretrained(sample.folder).eval()
    want = sample.model(x)
    assert (classifier(x).logits - want).abs().max() <= 1e-5 * want.abs().max()
    assert classifier.config.id2label == dict(enumerate(LABELS))
    processor = transformers.AutoImageProcessor.from_pretrained(sample.folder)
    shape = (300, 280, 3) if sample.channels == 3 else (300, 280)
    image = Image.fromarray(np.random.RandomState(0).randint(0, 255, shape, np.uint8))
    config = timm.data.resolve_model_data_config(sample.load())
    expected = timm.data.create_transform(**config, is_training=False)(image)
    assert torch.equal(processor(image, return_tensors="pt")["pixel_values"][0], expected)


def test_the_card_names_the_import_that_a_variant_needs(sample):
    card = (sample.folder / "README.md").read_text()
    ours = {variant.__name__ for variant in medzoo.zoo.variants.VARIANTS}
    assert ("import medzoo.zoo.variants" in card) == (sample.entry.architecture in ours)


def test_as_the_encoder_of_a_segmenter(sample):
    """A DPT for plain transformers, else a U-Net and a UPerNet; smp's own U-Net refuses the former."""
    plain = hasattr(sample.model, "cls_token")
    side = 224 if sample.entry.facts["fixed_size"] else 96
    for decoder in ("dpt",) if plain else ("unet", "upernet"):
        model = segmenter(str(sample.folder), 4, decoder=decoder, size=side)
        assert model(sample.batch(size=side)).shape == (1, 4, side, side)
        assert model.load_receipt.fresh == ()
        stored = {name.rpartition("model.")[2] for name in model.encoder.state_dict()}
        assert len(stored) > 0.8 * len(sample.state.keys() - sample.head)
    wrong = "unet" if plain else "dpt"
    with raises(UsageError, "decoder-does-not-fit"):
        segmenter(str(sample.folder), 4, decoder=wrong)


def test_a_training_step_has_a_fixed_order_on_a_gpu(sample):
    with torch.inference_mode(False):
        model, images = sample.load(num_classes=3).train(), torch.cat([sample.batch()] * 2).clone()
        assert not refused(operations(lambda: model(images).square().sum()))
