"""The engine of the curriculum: everything but its pages."""
