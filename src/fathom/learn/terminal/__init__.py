"""The curriculum in a terminal: the same pages, exercises and progress as in the browser."""
