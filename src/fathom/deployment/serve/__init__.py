"""An artifact behind HTTP: admission, batching, protocols, a page to try it on."""
