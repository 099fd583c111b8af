"""What the launcher says when it cannot go on: a sentence, an exit code, the proof."""

from __future__ import annotations

from collections.abc import Iterable

FAILED = 1  # something was started and did not work
REFUSED = 2  # nothing was started: the machine or the command line does not allow it


class LaunchError(Exception):
    """Ends the launcher with `sentence`, then `lines` (the failing program's last words)."""

    def __init__(self, sentence: str, *, lines: Iterable[str] = (), exit_code: int = FAILED):
        super().__init__(sentence)
        self.sentence = sentence
        self.lines = list(lines)
        self.exit_code = exit_code

    def render(self) -> str:
        """The sentence, with the quoted lines indented below it."""
        return "\n".join([self.sentence, *(f"    {line}" for line in self.lines)])
