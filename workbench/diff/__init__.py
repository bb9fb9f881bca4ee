"""The difference of two specs in meaning, and its effect on the staged data."""
