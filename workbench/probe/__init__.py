"""A connector checked against the server it describes: each declaration is tried."""
