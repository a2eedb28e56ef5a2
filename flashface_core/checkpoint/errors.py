"""The one exception that a user's file can cause."""


class CheckpointError(ValueError):
    """A model file that cannot be used; the text says which, why, and what to do."""
