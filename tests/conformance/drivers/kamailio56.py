"""Whether the Kamailio of the recordings and of the profile is here."""

from __future__ import annotations

import pytest

from conformance.drivers import kamailio


def _why_not() -> str:
    problem = kamailio.KamailioDriver().why_not()
    if problem is not None:
        return problem
    version = kamailio.installed_version()
    return "" if version.startswith("5.6.") else f"this Kamailio is {version}, not 5.6"


WHY_NOT = _why_not()
needs_kamailio = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
