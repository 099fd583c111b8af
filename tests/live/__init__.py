"""The live bus: sockets, the long poll, the relay, retention and the probes."""
