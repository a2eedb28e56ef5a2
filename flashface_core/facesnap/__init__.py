"""FaceSnap: place, pose and identity of a face by a ControlNet that reads landmarks and a face.

The published architecture (arXiv 2602.00627); widths and training are our own, since no code or
weights of the authors are known.
"""
