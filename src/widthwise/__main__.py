"""`python -m widthwise`."""

from widthwise.commands.main import main

main()
