"""How far the decisions of checkpoints agree on the same images: right and wrong, pairs of runs, sets of checkpoints."""
