"""The Keras models that draw images, and the training step that they share."""
