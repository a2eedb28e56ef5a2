"""The embedded default: a small model of rendered people, and photos of some that it never saw."""
