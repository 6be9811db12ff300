"""One file for each known data set: facts as a literal ``SET``, and ``read()``."""
