"""The local curriculum: topics as folders, and the engine that reads, draws, grades and remembers."""
