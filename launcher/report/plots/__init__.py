"""Plots of reports: figures as values, drawn to SVG by matplotlib in a process of its own."""
