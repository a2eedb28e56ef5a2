"""Training: rendered people, judges and the small model. Nothing of the node pack imports it."""
