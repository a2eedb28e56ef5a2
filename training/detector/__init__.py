"""Trains the small network that helps the built-in face detector (docs/TRAINING.md)."""
