"""The one exception that a user's file can cause."""

from ..errors import for_users


@for_users
class CheckpointError(ValueError):
    """A model file that cannot be used; the text says which, why, and what to do."""
