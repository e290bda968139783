"""``python -m receiver`` is ``tapdeck``."""

from receiver.cli import main

if __name__ == "__main__":
    main()
