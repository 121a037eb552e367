"""The checks, by theme; see `launcher.smoke.check`."""
