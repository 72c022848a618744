"""Where pixels lie in the patient: image planes, and series of them."""
