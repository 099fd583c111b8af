"""`python -m portal.launcher`: what `./pilothouse up` and `manage.py up` run."""

import sys

try:
    from portal.launcher.up import main
except ModuleNotFoundError as error:
    sys.exit(f"The package {error.name} is missing: run ./pilothouse up, which installs it.")

sys.exit(main(sys.argv[1:]))
