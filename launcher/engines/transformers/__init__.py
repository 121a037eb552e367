"""`transformers serve`: Hugging Face's own server, from 4.54 on."""

from launcher.engines.transformers.engine import ENGINE

__all__ = ["ENGINE"]
