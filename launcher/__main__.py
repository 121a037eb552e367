"""`python -m launcher` is `ernie-deploy`."""

from launcher.entry import main

if __name__ == "__main__":
    main()
