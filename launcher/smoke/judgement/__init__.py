"""Judgement of answers: shape, schema, what shows only in all of a run."""
