"""Serving: where received objects lie, what is known of them, what is answered to other nodes."""
