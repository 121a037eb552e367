"""The keeper's own HTTP endpoint: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/status`.

It is what HAProxy, Kubernetes, Prometheus and people ask. It answers from the keeper's memory and
never asks the engine, so that its answers do not depend on how the engine is.
"""
