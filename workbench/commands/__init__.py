"""One module a command; each registers nothing by itself."""
