"""Finds or prepares a real ComfyUI, and runs its server and a browser."""
