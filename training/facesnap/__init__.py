"""Trains FaceSnap: landmark model and network, face encoder, mixer and FFRNet."""
