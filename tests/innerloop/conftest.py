"""Makes reference.py importable from the tests beside it, without packages of tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
