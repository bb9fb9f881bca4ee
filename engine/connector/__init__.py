"""How an API behaves: the connector, compiled, and the one client that interprets it."""
