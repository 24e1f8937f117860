"""ResNet-50s of Google's self-supervised methods: SimCLR in TensorFlow tensor bundles, BYOL in a pickle of arrays."""

from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rank, Rename

BLOCKS = (3, 4, 6, 3)


def _layers(stem: str, first: str, one: str) -> tuple[str, ...]:
    """The layers in TensorFlow's order of numbers: the shortcut of a stage comes before its first block."""
    names = [stem]
    for stage, blocks in enumerate(BLOCKS, start=1):
        names.append(f"layer{stage}.0.{first}")
        names += [f"layer{stage}.{block}.{one}{place}" for block in range(blocks) for place in (1, 2, 3)]
    return tuple(names)


SIMCLR_SOURCE = "https://github.com/google-research/simclr/blob/master/resnet.py"


def simclr(*heads: Drop, needs: tuple[str, ...]) -> Format:
    """Numbered convolutions and norms below `base_model`."""
    return Format(
        drop=(
            Drop(r".*/Momentum$", "state of the optimiser"),
            Drop(r"ema_model/", "running average of the network"),
            Drop(r"global_step$", "counter of the training"),
            *heads,
        ),
        keep=(Keep(r"base_model/(?=(conv2d(_\d+)?/kernel|batch_normalization(_\d+)?/\w+)$)"),),
        rank=(
            Rank(r"conv2d(?:_(\d+))?(?=/)", _layers("conv1", "downsample.0", "conv")),
            Rank(r"batch_normalization(?:_(\d+))?(?=/)", _layers("bn1", "downsample.1", "bn")),
        ),
        rename=(
            Rename(r"/(kernel|gamma)$", ".weight"),
            Rename(r"/beta$", ".bias"),
            Rename(r"/moving_mean$", ".running_mean"),
            Rename(r"/moving_variance$", ".running_var"),
        ),
        needs=needs,
        steps=(tensor_steps.kernels_last_axis_out,),
        counters=True,
        source=SIMCLR_SOURCE,
    )


LINEAR = Drop(r"head_supervised/", "linear classifier of the evaluation")
ONLINE = r"experiment_state\.online_(params|state)\."

FORMATS = {
    "simclr-v1": simclr(LINEAR, needs=()),
    "simclr-v2": simclr(LINEAR, Drop(r"head_contrastive/", "projection head"), needs=(r"^head_contrastive/",)),
    "byol": Format(
        drop=(
            Drop(
                r"experiment_state\.(target_params|target_state|opt_state)(\.|$)",
                "target network, state of the training",
            ),
            Drop(ONLINE + r"(projector|predictor)/", "projection and prediction heads"),
            Drop(ONLINE + r"classifier\.", "linear classifier of the evaluation"),
            Drop(ONLINE + r"res_net50.*/(mean|var)_ema\.(hidden|counter)$", "accumulator of the running average"),
            Drop(r"(step|rng)$", "state of the training"),
        ),
        keep=(Keep(ONLINE + r"res_net50/~/"),),
        rename=(
            Rename(r"^initial_conv(_1)?\.w$", "conv1.weight"),
            Rename(r"^initial_batchnorm(_1)?(?=[./])", "bn1"),
            Rename(r"^block_group_0/~/block_(\d+)/~/", r"layer1.\1."),
            Rename(r"^block_group_1/~/block_(\d+)/~/", r"layer2.\1."),
            Rename(r"^block_group_2/~/block_(\d+)/~/", r"layer3.\1."),
            Rename(r"^block_group_3/~/block_(\d+)/~/", r"layer4.\1."),
            Rename(r"\.shortcut_conv\.w$", ".downsample.0.weight"),
            Rename(r"\.shortcut_batchnorm(?=[./])", ".downsample.1"),
            *(Rename(rf"\.conv_{place}\.w$", f".conv{place + 1}.weight") for place in range(3)),
            *(Rename(rf"\.batchnorm_{place}(?=[./])", f".bn{place + 1}") for place in range(3)),
            Rename(r"\.scale$", ".weight"),
            Rename(r"\.offset$", ".bias"),
            Rename(r"/~/mean_ema\.average$", ".running_mean"),
            Rename(r"/~/var_ema\.average$", ".running_var"),
        ),
        steps=(tensor_steps.flat_norms, tensor_steps.kernels_last_axis_out),
        counters=True,
        source="https://github.com/google-deepmind/deepmind-research/blob/master/byol/byol_experiment.py",
    ),
}
