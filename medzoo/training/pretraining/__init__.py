"""Parts that pre-training objectives share: teachers, masks, checks of what they need."""
