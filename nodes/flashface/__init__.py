"""Nodes of FlashFace: identity as feature maps."""
