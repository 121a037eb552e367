"""The front door of a service: HAProxy, rendered, started by a keeper and told who gets traffic."""
