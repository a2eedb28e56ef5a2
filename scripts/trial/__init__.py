"""What try.py is made of: the workflow of real weights, and that of the embedded model."""
