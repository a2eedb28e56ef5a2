"""The nodes of FaceSnap, one file per step of the graph."""
