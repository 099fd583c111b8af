"""What the pages read, across rooms. Every list has a fixed number of queries (tests say which)."""
