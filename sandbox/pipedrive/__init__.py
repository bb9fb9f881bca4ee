"""A local stand-in for one Pipedrive company account: REST API v2 and the v1 parts still needed."""
