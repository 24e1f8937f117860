"""Mistakes that a type checker must find before a user runs them, one on each marked line. It is never run."""

import medzoo

medzoo.lod("resnet50-imagenet")  # attr-defined
medzoo.load("resnet50-imagenet", verify="sometimes")  # arg-type
medzoo.list_models(modalities="CT")  # call-arg
medzoo.info(3)  # arg-type
medzoo.table("results").to_excel()  # attr-defined
medzoo.load_task("phantom_oct", seed="1")  # arg-type
