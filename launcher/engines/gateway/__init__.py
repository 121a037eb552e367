"""LiteLLM's proxy: Anthropic's dialect for engines that speak OpenAI's, run by a keeper."""

from launcher.engines.gateway.engine import ENGINE

__all__ = ["ENGINE"]
