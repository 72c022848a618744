"""`python -m dicomloom`."""

import sys

from dicomloom.cli.main import main

sys.exit(main())
