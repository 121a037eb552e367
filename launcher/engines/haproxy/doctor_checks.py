"""The checks that only HAProxy has: what it is built with, and how many files it may open."""

from __future__ import annotations

from launcher.engines.doctor_checks import Check, Outcome, Subject, fail, ok, unknown, warn
from launcher.engines.haproxy.checks import asks_keys, max_connections, uses_tls

PER_CONNECTION = 2
"""Files of a connection: the client's and the server's."""
RESERVE = 256
"""Files beside those: statistics (50 connections), listeners, sockets, health checks."""
_INSTALL = "apt-get install haproxy, or ernie-deploy engine install haproxy"


def version(subject: Subject) -> Outcome | None:
    """The release, which `find` admits from 2.6 on."""
    if subject.installed is None or subject.installed.release is None:
        return None
    release = subject.installed.release
    return ok(f"HAProxy {release.version} ({subject.installed.python})")


def exporter(subject: Subject) -> Outcome | None:
    """The Prometheus exporter, an option of the build."""
    features = _features(subject)
    if features is None:
        return None
    if not features:
        return unknown("`haproxy -vv` does not tell what it is built with", _INSTALL)
    if "PROMEX" in features:
        return ok("built with the Prometheus exporter")
    return warn(
        "built without the Prometheus exporter: /metrics of its statistics port answers 404; the"
        " metrics of the service are read from its socket", _INSTALL,
    )  # fmt: skip


def tls(subject: Subject) -> Outcome | None:
    """OpenSSL, where the door has a certificate or compares keys by their digests."""
    features = _features(subject)
    if features is None or subject.profile is None:
        return None
    if not features:
        return unknown("`haproxy -vv` does not tell what it is built with", _INSTALL)
    if "OPENSSL" in features:
        return ok("built with OpenSSL")
    if uses_tls(subject.profile):
        return fail("built without OpenSSL, and the front door has a certificate", _INSTALL)
    if asks_keys(subject.profile):
        return fail("built without OpenSSL, and the front door compares digests of keys", _INSTALL)
    return ok("built without OpenSSL, which is not needed: no certificate, no keys")


def open_files(subject: Subject) -> Outcome | None:
    """RLIMIT_NOFILE (the hard limit: HAProxy raises its own) for the connections allowed."""
    profile = subject.profile
    connections = max_connections(profile) if profile is not None else None
    if connections is None:
        return None
    needed = PER_CONNECTION * connections + RESERVE
    limit = subject.host.open_files
    evidence = f"{connections} connections need {needed} open files"
    if limit is None:
        return ok(f"{evidence}; without a limit")
    if limit >= needed:
        return ok(f"{evidence}; the limit is {limit}")
    return fail(
        f"{evidence}; the limit is {limit}",
        f"`ulimit -Hn {needed}` (systemd: LimitNOFILE={needed}), or lower max-connections",
    )


def _features(subject: Subject) -> frozenset[str] | None:
    """Options of the build (`+PROMEX` in `haproxy -vv`); None where nothing is installed."""
    if subject.installed is None or subject.installed.release is None:
        return None
    output = subject.host.program_output(subject.installed.python, "-vv")
    line = next((one for one in output.splitlines() if one.startswith("Feature list")), "")
    return frozenset(word[1:] for word in line.split() if word.startswith("+"))


CHECKS = (
    Check("haproxy-version", "HAProxy is recent enough", "servers are added while it runs",
          version, "software"),
    Check("haproxy-exporter", "HAProxy exports metrics", "/metrics of the door comes from it",
          exporter, "software"),
    Check("haproxy-tls", "HAProxy speaks TLS where it has to", "certificates and keys need OpenSSL",
          tls, "software"),
    Check("haproxy-open-files", "HAProxy may open enough files",
          "it refuses to start with fewer than its connections need", open_files, "kernel"),
)  # fmt: skip
