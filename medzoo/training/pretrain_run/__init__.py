"""The parts of one pre-training run: its images, what is watched, and the checkpoint that it leaves."""
