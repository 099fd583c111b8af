"""Starts the whole portal on one machine: embedded servers, processes, readiness, clean stops.

Plain Python: nothing here needs Django configured, and nothing here imports a room.
"""
