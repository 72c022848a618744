"""What a server answers, without a network: worklists, performed steps, matching."""
