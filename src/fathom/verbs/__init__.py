"""What can be done: one function for each verb of the command line, taking live objects."""
