"""A built-in person, so that a workflow runs as shipped."""
