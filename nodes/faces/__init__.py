"""Nodes for faces in photos, which serve every method."""
