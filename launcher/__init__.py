"""ernie-deploy: launches, watches, proves and stops ERNIE-4.5 model servers."""

__version__ = "0.2.0"
