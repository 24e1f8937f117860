"""The parts of benchmarks/gpu.py: what is measured, how it is timed, and the page of the results."""
