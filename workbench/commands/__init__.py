"""One module for each command; none registers anything by itself."""
