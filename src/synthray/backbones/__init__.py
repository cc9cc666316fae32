"""Networks trained on photographs, and what they see in radiographs."""
