"""The FlashFace system: checkpoints, references, attention and how they join ComfyUI's UNet.

Knows no node. See docs/ARCHITECTURE.md for the rooms and the arrows between them.
"""
