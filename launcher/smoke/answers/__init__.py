"""Answers: what every client returns, and the marks of chat templates."""
