"""The floor every room stands on: people, access, events, audit, errors, encryption."""
