"""What `send` is made of: what there is, who brings it, and the report of it."""
