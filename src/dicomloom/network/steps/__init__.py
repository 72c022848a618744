"""What performed procedure steps are made of: their attributes, messages and state."""
