"""What people look at: sample, comparison, reports."""
