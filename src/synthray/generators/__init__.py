"""The Keras models that generate images, and the training step that they share."""
