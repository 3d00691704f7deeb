"""`python -m downstroke` is the command `downstroke`."""

from downstroke.cli import main

if __name__ == "__main__":
    main()
