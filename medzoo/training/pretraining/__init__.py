"""Parts that pre-training objectives share, and what is watched while they train."""
