"""What `commit` is made of: requests, the results that come, and their state file."""
