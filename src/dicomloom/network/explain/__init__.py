"""What went wrong: in a log, on the way to a node, in an exception."""
