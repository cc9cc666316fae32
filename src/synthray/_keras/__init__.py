"""What differs by Keras backend or device: nothing of it is found elsewhere."""
