"""One platform's API: the connector, compiled, and the one client that interprets it.

Door: load.load_connector, client.Client.
"""
