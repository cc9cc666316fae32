"""Where images come from, and the one value that carries them."""
