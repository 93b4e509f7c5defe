"""Settings: frozen, validated once, from a TOML file, the environment and flags.

Only the outer layers (cli, app, manage) see them; what lies below takes small frozen options of its own.
"""

from imc.config.load import Loader, differences, find_file, is_reloadable, load
from imc.config.settings import Settings

__all__ = ["Loader", "Settings", "differences", "find_file", "is_reloadable", "load"]
