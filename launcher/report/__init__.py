"""Results as text, JSON, JUnit, Markdown and HTML."""

from launcher.report.emit import emit, emit_line

__all__ = ["emit", "emit_line"]
