"""Model weights on this machine: downloaded whole and verified, found by `up`, bundled with all."""
