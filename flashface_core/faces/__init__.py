"""Faces in a photo: finding, choosing, cutting, aligning and comparing them; knows no method."""
