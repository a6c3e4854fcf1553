"""`python -m thinfile`."""

from thinfile.cli.main import main

main()
