"""A local service that behaves like the STEL Order REST API, with an invented Spanish account."""
