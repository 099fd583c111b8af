"""The live bus: one LISTEN per web process, fan-out in process, sockets and a long poll."""
