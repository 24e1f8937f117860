"""What the figures of analyses share: colours, and labels that fit."""
