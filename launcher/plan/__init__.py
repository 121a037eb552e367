"""What will be run, and will it fit: pure values, no I/O."""
