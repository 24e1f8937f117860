"""What the figures of analyses share: colours for colour-blind readers too, and plain axes."""
