"""Version of this package; the build reads it here, so that nothing has to ask the installed packages for it."""

from typing import Final

VERSION: Final = "0.1.0"
