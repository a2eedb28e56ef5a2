"""Untrained weights from fixed seeds, for tests and for what no small model can show."""
