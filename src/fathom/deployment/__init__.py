"""From a trained model to an answer: artifact, export, prediction, serving."""
