"""What pre-training gains: against random weights, over the number of training images, and in images."""
