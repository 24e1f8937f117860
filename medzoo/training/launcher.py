"""What `accelerate launch` may ask for: processes that each train the whole network."""

from __future__ import annotations

import os

from medzoo.errors import UsageError

# the variable that accelerate launch (or the file of `accelerate config`) sets for a plugin, and the plugin's name
PLUGINS = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor, context or sequence parallelism",
}


def check_launcher() -> None:
    """Refuse plugins of Accelerate that split a network or its optimizer over the processes.

    Teachers, averages, saved states and checkpoints need all weights in each process. With these plugins, processes would train
    separate networks, or write a part of the weights.

    Raises:
        UsageError: names the plugin, and what saves memory instead.
    """
    for variable, plugin in PLUGINS.items():
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise UsageError(
                f"The launcher asks for {plugin} ({variable}), and medzoo trains a whole network in each process. Launch with "
                "--multi_gpu instead, or choose multi-GPU in `accelerate config`. To save memory, use --precision bf16, a smaller "
                "--batch-size or --size, or --recompute (pre-training).",
                code="sharded-training-not-supported",
            )
