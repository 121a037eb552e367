"""Benchmarks of running servers: an existing load generator is driven, its records are judged."""
