"""The pages. Views parse, call one verb or one query, and render; rules live in the rooms."""
