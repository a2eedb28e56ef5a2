"""Nodes of the embedded default: a small model and people to try it with."""
