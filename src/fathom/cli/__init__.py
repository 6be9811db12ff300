"""The command line: ``command`` finds and runs the verbs; every other file is one verb, or what it shows."""
