"""Targets: from a word on the command line to an endpoint and its promises."""
