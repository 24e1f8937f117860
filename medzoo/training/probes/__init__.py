"""Probes of frozen features: one file a head. Arrays in, small frozen dataclasses out; no file here knows tasks or folders."""
