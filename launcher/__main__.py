"""`python -m launcher` is `ernie-deploy`."""

if __name__ == "__main__":
    from launcher.entry import main

    main()
