"""The engines' own virtual environments: which exist, how one is made."""

from launcher.environments.find import find

__all__ = ["find"]
