"""Files that run a profile elsewhere: systemd, containers, Kubernetes, Slurm.

`subject` collects what a rendering depends on; each target is a pure function of it that returns
file names and texts; `rendering` writes them and `drift` compares them with the profile again.
Nothing in this room starts anything.
"""
