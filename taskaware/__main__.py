"""`python -m taskaware`, which is what `accelerate launch -m taskaware` runs."""

from taskaware.cli.main import main

if __name__ == "__main__":
    main()
