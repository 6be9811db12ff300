"""``python -m fathom`` is the command ``fathom``."""

from fathom.cli.command import entry

entry()
