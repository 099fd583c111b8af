"""The demo a new installation opens with: two simulated clusters and a speech service."""
