"""What ``python -m audiopg`` runs, and so ``torchrun -m audiopg``: the command line."""

from audiopg.cli.app import main

if __name__ == "__main__":
    main()
