"""The SDK under its older name, so that an NSML-era script runs as it is."""

from __future__ import annotations

from seodang import *
from seodang import __all__ as __all__

from . import constants as constants
