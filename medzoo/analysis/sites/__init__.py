"""Sites, scanners and other columns of a task: their values, and the neighbours of images across them."""
