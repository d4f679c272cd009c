"""What is compared: each side is a process of its own, which measures when it is told to."""
