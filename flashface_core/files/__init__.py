"""Files of people and of weights: how they are read and written, whichever method made them."""
