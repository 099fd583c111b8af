"""`python -m tests.migration_check`: 1 when a model changed without a migration, 0 otherwise.

Runs on the tests' own database server, because `makemigrations --check` wants one to answer.
"""

import os
import sys

import tests.embedded  # noqa: F401  starts the server, which stops when we end


def main() -> None:
    """`manage.py makemigrations --check --dry-run`, which exits with its verdict."""
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    execute_from_command_line([sys.argv[0], "makemigrations", "--check", "--dry-run"])


if __name__ == "__main__":
    main()
