"""`python -m backend` is `prelabel`."""

from backend.cli import main

if __name__ == "__main__":
    main()
