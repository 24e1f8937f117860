"""Images changed as acquisition and storage change them, and how far the features of a network move."""
