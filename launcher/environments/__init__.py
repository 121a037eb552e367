"""The engines' own virtual environments: which exist, how one is made."""
