"""The mapping as a document that a customer reads and signs."""
