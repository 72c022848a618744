"""What `retrieve` is made of: the plan, the requests, what comes, and where it lands."""
