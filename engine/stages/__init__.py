"""The steps of a migration, each a function from run to report."""
