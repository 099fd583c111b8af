"""Control loops: each watches some kinds and works through a queue of keys.

A controller is a client of the API like any other; only its calls do not travel over HTTP.
"""
