"""What the destination account holds, seen from what we know about it."""
