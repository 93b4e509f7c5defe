"""Digest as a client computes it (RFC 7616 §3.4, RFC 8760), on purpose apart from the code that is tested."""

from __future__ import annotations

import base64
import hashlib
import re

from conformance.suite.wire_case import Credentials

_PARAM = re.compile(r'([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
STRENGTH = {"MD5": 1, "SHA-256": 2, "SHA-512-256": 3}
_NAMES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


class NoChallenge(Exception):
    """The server has not asked for credentials, or not by the algorithm that is wanted."""


def params(value: str) -> dict[str, str]:
    """The parameters of a challenge or credentials, names in lower case; "" is the scheme."""
    scheme, _, rest = value.strip().partition(" ")
    found = {match[1].lower(): match[2] if match[2] is not None else match[3] for match in _PARAM.finditer(rest)}
    return {"": scheme, **found}


def algorithm(challenge: dict[str, str]) -> str:
    """In upper case; MD5 where the challenge names none."""
    return challenge.get("algorithm", "MD5").upper()


def authorization(
    challenges: list[dict[str, str]], how: Credentials, method: str, uri: str, account: tuple[str, str]
) -> str:
    """The value that answers one of the challenges, for ``account`` (user name, password).

    NoChallenge where none is of the algorithm asked for.
    """
    username, password = how.username or account[0], how.password or account[1]
    if how.scheme == "Basic":
        return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
    usable = [
        each for each in challenges if algorithm(each) in _NAMES and how.algorithm.upper() in ("", algorithm(each))
    ]
    if not usable:
        raise NoChallenge(f"there was no challenge of {how.algorithm or 'an algorithm that is known'}")
    challenge = usable[0]
    name = algorithm(challenge)
    realm, nonce, uri = how.realm or challenge["realm"], how.nonce or challenge["nonce"], how.uri or uri

    def digest(text: str) -> str:
        return hashlib.new(_NAMES[name], text.encode()).hexdigest()

    secret, asked = digest(f"{username}:{realm}:{password}"), digest(f"{how.method or method}:{uri}")
    middle = f"{nonce}:{how.nc:08x}:{how.cnonce}:auth" if how.qop else nonce
    fields = {"username": username, "realm": realm, "nonce": nonce, "uri": uri}
    fields["response"] = digest(f"{secret}:{middle}:{asked}")
    if "opaque" in challenge:
        fields["opaque"] = challenge["opaque"]
    shown = [f'{key}="{value}"' for key, value in fields.items()] + [f"algorithm={name}"]
    if how.qop:
        shown += ["qop=auth", f"nc={how.nc:08x}", f'cnonce="{how.cnonce}"']
    return f"Digest {', '.join(shown)}"
