"""A stand-in for Paddle: only what the stand-in FastDeploy starts."""

__version__ = "3.3.0"
