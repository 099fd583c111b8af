"""The live bus: one LISTEN per web process, fan-out in process, sockets and a long poll.

`/ws/live` speaks JSON text. A client sends

    {"op": "sub", "topic": T, "since_seq": N or null}      follow T, from N on or from a snapshot
    {"op": "unsub", "topic": T}        {"op": "ping"}        {"op": "ack", "seq": N}

and is sent

    {"type": "snapshot", topic, seq, kinds, objects: {"<kind>:<id>": payload}}
        everything on T as of seq; of these kinds there is nothing else
    {"type": "event", topic, seq, kind, object: "<kind>:<id>", patch: payload, at}
        the newest payload of one object, or its end when kind ends in `.gone`
    {"type": "changed", topic, seq}    T has too many objects to tell: ask for the page again
    {"type": "reset", topic}           what is known of T is void and T is not followed any more
    {"type": "ack?", seq}              nothing more is sent until this number is acknowledged
    {"type": "pong" | "ping", seq, at, behind_seconds}
        the server's clock, and for how long it could not read the table
    {"type": "error", code, ref}       4400 not understood, 4403 not yours, 4429 too many topics

Frames of a topic come in seq order and an object's newest one replaces those still waiting, so the
last seq seen is the one to resume from. Close codes: 4400 not a small JSON object, 4401 signed
out, 4429 more than 100 messages a second, 4503 try again later; 403 for a foreign Origin.

`GET /api/v1/events?topic=T&after=N&wait=S` answers `{events, seq, reset}` with the same frames.
"""
