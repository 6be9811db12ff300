"""Known data sets, one file each: facts as the literal ``SET``, and a function ``read``."""
