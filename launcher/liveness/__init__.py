"""Liveness of a ready server: samples in, a verdict with its reasons out; no input or output."""
