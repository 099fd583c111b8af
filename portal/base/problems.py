"""Domain errors with the one shape every door shows (RFC 9457).

Verbs raise these; REST, pages, admin, commands and sockets each render them. The fields are the
ones of `application/problem+json`: status, code, title, detail and a list of
`{pointer, code, message}` for single inputs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldProblem:
    """One wrong input: JSON pointer (RFC 6901), machine code, sentence for a person."""

    pointer: str
    code: str
    message: str


class Problem(Exception):
    """An error that a caller can act on. Subclasses fix status, code and title."""

    status = 400
    code = "bad_request"
    title = "The request cannot be carried out"

    def __init__(
        self, detail: str, *, code: str | None = None, errors: list[FieldProblem] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.errors = errors or []


class Invalid(Problem):
    """Well-formed input that breaks a rule of the domain."""

    status, code, title = 422, "invalid", "The input breaks a rule"

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "Invalid":
        return cls(message, code=code, errors=[FieldProblem(pointer, code, message)])


class NotAllowed(Problem):
    status, code, title = 403, "not_allowed", "You may not do this"


class Missing(Problem):
    status, code, title = 404, "not_found", "There is no such thing"


class Conflict(Problem):
    """The state of the world forbids it now: an illegal transition, a lost race, a duplicate."""

    status, code, title = 409, "conflict", "The current state does not allow this"


class Unreachable(Problem):
    """Something outside did not answer in time."""

    status, code, title = 503, "unreachable", "A system outside did not answer"
