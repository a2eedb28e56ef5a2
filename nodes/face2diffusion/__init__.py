"""Nodes of Face2Diffusion: identity as two words of the prompt."""
