"""The front door of a service: one public address in front of its replicas, served by HAProxy.

`config` renders the whole configuration, `profile` makes the profile by which a keeper runs it,
`runtime` speaks with the running process, and `door` brings file and process together.
"""
