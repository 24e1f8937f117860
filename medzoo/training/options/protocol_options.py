"""The options of a protocol: how every checkpoint is put to a task. Each has a help line, a default and limits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from medzoo import store
from medzoo.errors import UsageError
from medzoo.precision import Precision
from medzoo.training.options.fields import option

# all but the first are probes on a frozen network
Mode = Literal["finetune", "linear", "knn", "ridge", "attentive", "head_grid", "dense", "dense_knn"]
PROBES: tuple[Mode, ...] = ("linear", "knn", "ridge", "attentive", "head_grid", "dense", "dense_knn")
DENSE: tuple[Mode, ...] = ("dense", "dense_knn")  # probes of a segmentation
# The options of a protocol that belong to one or several probes, and to no fine-tuning.
OF_PROBES: dict[str, tuple[Mode, ...]] = {
    "regularisation": ("linear", "ridge", "dense"),
    "neighbours": ("knn", "dense_knn"),
    "temperature": ("knn",),
    "steps": ("attentive", "head_grid"),
    "learning_rates": ("attentive", "head_grid"),
    "weight_decays": ("attentive",),
    "queries": ("attentive",),
    "last_layers": ("head_grid",),
    "samples": ("dense", "dense_knn"),
}
# The first options. Every hash contains them; later options are hashed only where they differ from their default.
FIRST = (
    "mode", "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "warmup_epochs", "gradient_clip",
    "label_smoothing", "min_area", "flip", "brightness", "contrast", "size", "precision", "selection", "regularisation",
)  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """The resolved options of a protocol; recipes/protocols/medzoo.toml gives the reasons for its own values."""

    name: str
    mode: Mode

    # how long, and how fast
    epochs: int = option("passes over the training split", 1, least=1)
    batch_size: int = option("images per step over all processes", 64, least=2)
    optimizer: str = option("timm's name", "adamw")
    learning_rate: float = option("the peak", 1e-3, above=0)
    weight_decay: float = option("on weights, not on biases and norms", 0.05, least=0)
    gradient_clip: float = option("largest norm of the gradient; 0 does not clip", 1.0, least=0)
    schedule: Literal["cosine", "plateau", "exponential", "constant"] = option("after the warm-up", "cosine")
    warmup_epochs: float = option("linear warm-up; may be a fraction", 1.0, least=0)
    warmup_learning_rate: float = option("at the start of the warm-up", 0.0, least=0)
    final_learning_rate: float = option("at the end of the cosine; the least of a plateau", 0.0, least=0)
    decay: float = option("factor per epoch (exponential) or per plateau", 0.5, above=0, most=1)
    plateau_epochs: int = option("epochs without a lower validation loss that a plateau allows", 5, least=0)

    # which epoch is tested, and when training stops early
    selection: Literal["best", "last"] = option("the epoch that is tested", "best")
    monitor: Literal["metric", "loss"] = option("what is best on validation: the task's metric or the loss", "metric")
    patience: int = option("stop after so many epochs without a better one; 0 never stops early", 0, least=0)

    # loss and order
    loss: Literal["auto", "softmax", "sigmoid"] = option("auto: sigmoid for several labels per image", "auto")
    label_smoothing: float = option("share of the target spread over all classes", 0.0, least=0, most=0.99)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = option("balanced, or one per class", "none")
    sampling: Literal["uniform", "balanced"] = option("balanced: every class equally often", "uniform")
    mixup: float = option("alpha of the Beta distribution; 0 is off", 0.0, least=0)
    cutmix: float = option("alpha of the Beta distribution; 0 is off", 0.0, least=0)

    # random changes of a training image
    min_area: float = option("smallest share of the area in a crop; 1 does not crop", 1.0, above=0, most=1)
    aspect: float = option("largest ratio of a crop's sides; 1 is square", 4 / 3, least=1)
    crop: float = option("probability of a crop", 1.0, least=0, most=1)
    flip: float = option("probability of a left-right flip", 0.0, least=0, most=1)
    rotation: float = option("degrees; the angle is drawn from [-r, r]", 0.0, least=0, most=180)
    shift: float = option("largest shift, as a share of the side", 0.0, least=0, most=1)
    shear: float = option("degrees; drawn from [-s, s]", 0.0, least=0, most=60)
    zoom: float = option("factor drawn from [1 - z, 1 + z]", 0.0, least=0, most=0.9)
    brightness: float = option("factor drawn from [1 - b, 1 + b]", 0.0, least=0, most=1)
    contrast: float = option("factor drawn from [1 - c, 1 + c]", 0.0, least=0, most=1)
    saturation: float = option("factor drawn from [1 - s, 1 + s]; no effect on grey images", 0.0, least=0, most=1)
    hue: float = option(
        "turn drawn from [-h, h], 1 is the whole circle; no effect on grey images", 0.0, least=0, most=0.5
    )
    tone: float = option("probability that brightness, contrast, saturation and hue change", 1.0, least=0, most=1)
    gamma: float = option("exponent drawn from [1 - g, 1 + g]", 0.0, least=0, most=0.99)
    gamma_chance: float = option(
        "probability that the gamma changes; as far as possible, of images without a change of tones",
        1.0,
        least=0,
        most=1,
    )
    grey: float = option("probability of a conversion to grey", 0.0, least=0, most=1)
    blur: float = option("probability of a Gaussian blur", 0.0, least=0, most=1)
    sharpen: float = option("probability of sharpening", 0.0, least=0, most=1)
    sharpness: float = option("of sharpened images; 1 changes nothing, below 1 smooths", 2.0, least=0)
    distort: float = option(
        "probability of a distortion: elastic, grid or optical, equally often", 0.0, least=0, most=1
    )
    elastic_alpha: float = option("amplitude: factor of smoothed noise in [-1, 1], pixels", 120.0, least=0)
    elastic_sigma: float = option("of the Gaussian that smooths this noise, pixels", 6.0, least=1)
    elastic_affine: float = option("largest shift of three points before an elastic distortion, pixels", 0.0, least=0)
    grid_limit: float = option("widths of a grid's five columns and rows: from [1 - g, 1 + g]", 0.3, least=0, most=0.9)
    optical_limit: float = option("coefficient of a lens drawn from [-o, o]", 0.5, least=0)

    # input, and evaluation
    size: int = option("side of the input, pixels; 0 takes the checkpoint's", 0, least=0)
    crop_share: float = option("share of the side that the centre crop of an evaluation keeps", 1.0, above=0, most=1)
    augmented_test: Literal["none", "flip", "ten_crop"] = option("views whose probabilities are averaged", "none")
    precision: Precision = "fp32"

    # network: head, regularisation, and what is trained
    head_start: Literal["random", "solved"] = option("solved: the logistic regression on frozen features", "random")
    head_std: float = option("of the normal distribution of a fresh head; 0 keeps the network's", 0.0, least=0)
    head_bias: bool = True
    dropout: float = option("before the head", 0.0, least=0, most=0.99)
    drop_path: float = option("of transformers; convolutional networks have none", 0.0, least=0, most=0.99)
    layer_decay: float = option(
        "factor per layer, of transformers; convolutional networks have none", 1.0, above=0, most=1
    )
    train_blocks: int = option("train the head and the last blocks only; -1 trains all", -1, least=-1)
    frozen_epochs: int = option("first epochs that train the head only", 0, least=0)
    frozen_learning_rate: float = option("of these epochs", 1e-3, above=0)
    lora_rank: int = option("train low-rank changes of q and v instead of the weights; 0 is off", 0, least=0)
    ema: float = option(
        "decay of a moving average of the weights, which is tested; 0 is off", 0.0, least=0, most=0.99999
    )

    # segmentation
    decoder: Literal["auto", "unet", "upernet", "dpt", "linear"] = option(
        "auto: unet, or dpt for plain transformers; unet-scratch always has unet", "auto"
    )
    segmentation_loss: Literal["dice_ce", "dice", "ce", "dice_focal", "focal"] = option(
        "ce is binary cross-entropy for one class", "dice_ce"
    )
    dice_over: Literal["image", "batch"] = option("the pixels of a soft Dice in the loss", "image")
    window_overlap: float = option(
        "share of a window that the next one repeats, where stored images exceed the input", 0.5, least=0, most=0.9
    )

    # a probe on a frozen network
    regularisation: tuple[float, ...] = option(
        "values that a probe tries: C (linear, dense) or alpha (ridge)", (), least=0
    )
    neighbours: tuple[int, ...] = option("numbers of neighbours that a kNN probe tries", (), least=1)
    temperature: float = option("of a kNN probe: the weight of a neighbour is exp(cosine / temperature)", 0.07, above=0)
    steps: int = option("of the optimizer, for heads that are trained (attentive, head_grid)", 1000, least=1)
    learning_rates: tuple[float, ...] = option("of trained heads: one head for each", (), above=0)
    weight_decays: tuple[float, ...] = option("of an attentive probe: one head for each", (0.0,), least=0)
    queries: int = option("learned queries of an attentive probe", 32, least=1)
    last_layers: tuple[int, ...] = option(
        "how many last layers a head of a grid reads: one input for each", (), least=1
    )
    samples: int = option(
        "training pixels (dense) or tokens (dense_knn) that a probe of masks is fitted on, at most", 20_000, least=1
    )

    @property
    def is_probe(self) -> bool:
        """Whether the network stays frozen."""
        return self.mode != "finetune"

    @property
    def uses_metric(self) -> bool:
        """Whether the task's metric on validation chooses something: an epoch, the end of the training, or a penalty."""
        chooses = self.is_probe or self.selection == "best" or self.patience > 0
        return chooses and self.monitor == "metric"

    def hash(self) -> str:
        """The sha256 of all options except the name: two names of one protocol have the same hash.

        An option that was added later is left out where it has no effect, so that earlier results keep their hash.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "name"}
        later = {one.name: one.default for one in fields(self) if one.name not in FIRST}
        # `samples` took the place of `tokens`: results of the former probe have another hash
        always = {*FIRST, "samples"} if self.mode in DENSE else set(FIRST)
        return store.sha256_of({key: value for key, value in values.items() if key in always or value != later[key]})

    def check(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            UsageError: names both options and what to change.
        """
        if self.lora_rank and (self.frozen_epochs or self.train_blocks >= 0):
            other = "frozen_epochs" if self.frozen_epochs else "train_blocks"
            self._refuse(
                f"lora_rank = {self.lora_rank} and {other} = {getattr(self, other)}: LoRA keeps all weights but the head frozen, "
                f"and {other} chooses other weights",
                f"lora_rank = 0, or {other} = {0 if self.frozen_epochs else -1}",
            )
        if self.frozen_epochs >= self.epochs:
            self._refuse(
                f"frozen_epochs = {self.frozen_epochs} and epochs = {self.epochs}: no epoch is left to train more than the head",
                "more epochs, fewer frozen_epochs, or train_blocks = 0 to train the head only",
            )

    def _refuse(self, why: str, remedy: str) -> None:
        raise UsageError(f"Protocol {self.name} has {why}. Give {remedy}.", code="options-exclude-each-other")
