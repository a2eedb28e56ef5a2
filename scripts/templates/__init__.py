"""Draws the workflows that ComfyUI lists as templates, and their pictures."""
